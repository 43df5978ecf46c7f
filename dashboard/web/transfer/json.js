// Values as JSON that reads back to the same values. Numbers of the API are doubles, or texts where they are longer: only the sign of zero needs care.

/**
 * @param {unknown} value as it was read from JSON
 * @returns {string}
 */
export function exactJson(value) {
  if (Array.isArray(value)) return `[${value.map(exactJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${exactJson(member)}`).join(",")}}`;
  }
  return Object.is(value, -0) ? "-0.0" : JSON.stringify(value);
}
