// Things that are compared, as they stand in an address.

/** Things that are compared at most. */
export const MOST = 12;

/**
 * What stands in an address, each once.
 * @param {URLSearchParams} query
 * @param {string} field
 */
export function listed(query, field) {
  return [...new Set((query.get(field) ?? "").split(",").filter(Boolean))].slice(0, MOST);
}
