// The token of a link such as /docs#token=csp_… is taken out of the address, so that no bookmark and no screenshot has it.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  history.replaceState(null, "", location.pathname);
}
const explorer = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#explorer",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  onComplete: () => {
    if (given) {
      explorer.preauthorizeApiKey("token", given);
    }
  },
});
