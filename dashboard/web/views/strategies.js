// Which kinds of strategies there are, where a view differs by them.

/** Strategies whose trials are compared at rungs, rest there and go on. */
const HALVING = /^(asha|hyperband|bohb)$/;
/** Strategies whose trials take each other's places, or go on from each other. */
const POPULATION = /^(pbt|pb2|replay)$/;

/** @typedef {import("../../types/api.js").Study} Study */

/** @param {Study | null} study */
export const isHalving = (study) => HALVING.test(study?.spec.strategy?.name ?? "");

/** @param {Study | null} study */
export const isOfPopulation = (study) => POPULATION.test(study?.spec.strategy?.name ?? "");
