// Money as whole pico-dollars (BigInt). An amount has up to 12 decimals and may be more than a float can tell apart, so that
// no amount is ever a Number here, but where it becomes a length on the screen.

const PLACES = 12;
const PICO = 10n ** BigInt(PLACES);

/** Reads JSON with each number as the text that was sent: "0.1" stays 0.1. */
export function read(text) {
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (word) => (word[0] === '"' ? word : `"${word}"`)));
}

/** The pico-dollars of such a text; null of null, which is a cost that nobody knows. */
export function pico(text) {
  if (text === null || text === undefined) return null;
  const [, sign, whole, decimals = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  const shift = PLACES - decimals.length + Number(exponent);
  const digits = BigInt(whole + decimals);
  const value = shift >= 0 ? digits * 10n ** BigInt(shift) : halfEven(digits, 10n ** BigInt(-shift));
  return sign ? -value : value;
}

/** All decimals of an amount, and no zeros after them: "$0.00135". */
export function exactly(amount) {
  const [sign, size] = amount < 0n ? ["−", -amount] : ["", amount];
  const decimals = String(size % PICO).padStart(PLACES, "0").replace(/0+$/, "");
  return `${sign}$${grouped(size / PICO)}${decimals && `.${decimals.padEnd(2, "0")}`}`;
}

/** As one reads an amount: cents, and of what is less than ten cents the first three digits that are not 0. */
export function roughly(amount) {
  const [sign, size] = amount < 0n ? ["−", -amount] : ["", amount];
  if (size === 0n) return "$0";
  const places = size >= PICO / 10n ? 2 : Math.min(PLACES, PLACES - String(size).length + 3);
  const rounded = halfEven(size, 10n ** BigInt(PLACES - places));
  const unit = 10n ** BigInt(places);
  const decimals = String(rounded % unit).padStart(places, "0");
  return `${sign}$${grouped(rounded / unit)}.${decimals.replace(/0+$/, "").padEnd(2, "0")}`;
}

/** As `roughly`, and whole dollars without cents: for budgets and the marks of an axis. */
export function briefly(amount) {
  return roughly(amount).replace(/\.00$/, "");
}

/** An amount as a length: the only place where it may be a Number. */
export function length(amount) {
  return Number(amount) / Number(PICO);
}

/** What `part` is of `whole`, in percent: "82 %"; "" of nothing. */
export function percent(part, whole) {
  if (!whole) return "";
  const tenths = halfEven(BigInt(part) * 1000n, BigInt(whole));
  if (tenths === 0n && part) return "< 0.1 %";
  if (tenths === 1000n && BigInt(part) !== BigInt(whole)) return BigInt(part) < BigInt(whole) ? "> 99.9 %" : "100 %";
  return tenths % 10n && tenths < 1000n ? `${tenths / 10n}.${tenths % 10n} %` : `${grouped(tenths / 10n)} %`;
}

/** A whole number with commas. */
export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A whole number in few characters: "1.25 M". */
export function short(number) {
  const digits = String(number);
  const step = Math.min(4, Math.floor((digits.length - 1) / 3));
  if (step === 0) return digits;
  const hundredths = halfEven(BigInt(digits) * 100n, 10n ** BigInt(3 * step));
  const decimals = String(hundredths % 100n).padStart(2, "0").replace(/0+$/, "");
  return `${grouped(hundredths / 100n)}${decimals && `.${decimals}`} ${["", "k", "M", "G", "T"][step]}`;
}

/** Bytes: "4.1 kB". */
export function bytes(number) {
  const [digits, prefix = ""] = short(number).split(" ");
  return `${digits} ${prefix}B`;
}

export function sum(amounts) {
  return amounts.reduce((whole, amount) => whole + (amount ?? 0n), 0n);
}

function halfEven(numerator, denominator) {
  const sign = numerator < 0n ? -1n : 1n;
  const size = numerator * sign;
  const whole = size / denominator;
  const twice = 2n * (size % denominator);
  const up = twice > denominator || (twice === denominator && whole % 2n === 1n);
  return sign * (up ? whole + 1n : whole);
}
