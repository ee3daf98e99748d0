"""Whatever is asked, the answer is one that the OpenAPI document names, and never a failure of the server's."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

#: Per operation and mode.
_EXAMPLES = 12
load_all_checks()
#: That a text is no time zone or names no dimension is for the server to find, and not for a schema; an address that is too
#: long is refused before it is read; and who shows wrong tokens at this rate is told to wait, which other tests see to.
_NOT_CHECKED = [
    CHECKS.get_one(name) for name in ("positive_data_acceptance", "negative_data_rejection", "ignored_auth")
]


def rejects_nonsense(ctx, response, case):
    """What breaks the schema is refused."""
    if response.status_code != 414:
        CHECKS.get_one("negative_data_rejection")(ctx, response, case)


@pytest.fixture(scope="session")
def operations(api):
    """Each operation of the document as the server gives it."""
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_described(api, operations, mode):
    """Sense and nonsense in every parameter and body, as an administrator: no 5xx, no status, type or shape beside the document."""
    token = {"Authorization": f"Bearer {api.admin}"}
    asked = [one for one in operations if mode.is_positive or [*one.iter_parameters(), *one.body]]
    assert asked
    for operation in asked:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def check(case):
            case.call_and_validate(
                headers=token, timeout=20, excluded_checks=_NOT_CHECKED, additional_checks=[rejects_nonsense]
            )

        check()
