// The public HTTP API: calls that give what the coordinator answers, or fail with what it says. The browser sends the cookie of the
// sign-in by itself; no token is ever held here.

/** @typedef {import("../types/api.js").Study} Study */
/** @typedef {import("../types/api.js").Trial} Trial */
/** @typedef {import("../types/api.js").Worker} Worker */

/** Time for an answer. */
const PATIENCE = 30_000;
/** Time for an answer for which much has to be computed. */
const LONG_PATIENCE = 600_000;

/** A call that was refused, or not answered. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 if there was no answer
   * @param {string} reason
   * @param {{field: string, description: string}[]} [details] what is wrong with which field
   */
  constructor(message, status, reason, details = []) {
    super(message);
    this.details = details;
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
  }

  /** Whether the coordinator could not be asked, or cannot answer for now. */
  get away() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** Told when a call was refused because nobody is signed in. */
const listeners = new Set(/** @type {(() => void)[]} */ ([]));

/** @param {() => void} listener */
export function onSignedOut(listener) {
  listeners.add(listener);
}

/**
 * One call.
 * @param {string} verb
 * @param {string} path
 * @param {{body?: unknown, signal?: AbortSignal, patience?: number}} [options] `body`: a text is sent as it is; `patience`: time for an answer, in milliseconds
 * @returns {Promise<any>}
 */
export async function call(verb, path, { body, signal, patience = PATIENCE } = {}) {
  const timeout = AbortSignal.timeout(patience);
  let answer, text;
  try {
    answer = await fetch(path, {
      method: verb,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("the coordinator does not answer", 0, "NO_ANSWER");
  }
  if (!answer.ok) throw refusal(answer.status, text);
  return text ? JSON.parse(text) : {};
}

/**
 * @param {number} status
 * @param {string} text
 */
export function refusal(status, text) {
  let error;
  try {
    error = JSON.parse(text).error;
  } catch {
    // Not from the coordinator, but from something before it.
  }
  const refused = new ApiError(error?.message ?? `the answer has the status ${status}`, status, error?.reason ?? "", error?.details ?? []);
  if (status === 401) for (const listener of listeners) listener();
  return refused;
}

/** @param {string} part */
const enc = encodeURIComponent;

/**
 * The address of a study's part in the API.
 * @param {string} study
 * @param {string} [rest]
 */
const ofStudy = (study, rest = "") => `/v1/studies/${enc(study)}${rest}`;

/**
 * @param {string} study
 * @param {string | number} trial
 * @param {string} [rest]
 */
const ofTrial = (study, trial, rest = "") => `/v1/studies/${enc(study)}/trials/${enc(String(trial))}${rest}`;

/**
 * What stands behind the question mark; lists become repeated fields.
 * @param {Record<string, string | number | boolean | (string | number)[] | undefined>} fields
 */
function query(fields) {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) for (const one of value) all.append(name, String(one));
    else if (value !== undefined && value !== "" && value !== false) all.set(name, String(value));
  }
  const text = all.toString();
  return text ? `?${text}` : "";
}

/** @typedef {{signal?: AbortSignal}} Options */

export const api = {
  /** @param {Options} [options] @returns {Promise<import("../types/api.js").Session>} */
  session: (options) => call("GET", "/v1/session", options),
  /** @param {string} token */
  signIn: (token) => call("POST", "/v1/session", { body: { token } }),
  signOut: () => call("DELETE", "/v1/session"),

  /** @param {{archived?: boolean, token?: string}} page @param {Options} [options] @returns {Promise<{studies?: Study[], nextPageToken?: string}>} */
  studies: ({ archived, token }, options) => call("GET", `/v1/studies${query({ page_size: 200, show_archived: archived, page_token: token })}`, options),
  /** @param {string} study @param {Options} [options] @returns {Promise<Study>} */
  study: async (study, options) => (await call("GET", ofStudy(study), options)).study,
  /** @param {{text?: string, spec?: object, edits?: import("../types/api.js").Edit[], study?: string}} body @param {Options} [options] @returns {Promise<import("../types/api.js").Checked>} */
  check: (body, options) => call("POST", "/v1/studies:check", { ...options, body }),
  /** @param {import("../types/api.js").Spec} spec @param {string} requestId @param {boolean} [paused] @returns {Promise<Study>} */
  createStudy: async (spec, requestId, paused = false) => (await call("POST", "/v1/studies", { body: { spec, requestId, paused } })).study,
  /** @param {string} study @param {string[]} fields @param {object} spec @returns {Promise<Study>} */
  updateStudy: async (study, fields, spec) => (await call("PATCH", ofStudy(study, query({ update_mask: fields.join(",") })), { body: spec })).study,
  /** @param {string} study @param {"pause" | "resume" | "stop" | "archive"} what @returns {Promise<Study>} */
  steer: async (study, what) => (await call("POST", ofStudy(study, `/${what}`), { body: {} })).study,
  /** @param {string} study */
  deleteStudy: (study) => call("DELETE", ofStudy(study)),
  /** @param {string} study @param {string} message @returns {Promise<Study>} */
  setMessage: async (study, message) => (await call("PATCH", ofStudy(study, "?update_mask=message"), { body: { message } })).study,
  /** @param {string} study @param {string} [token] @param {Options} [options] @returns {Promise<{trials?: object[], nextPageToken?: string}>} */
  history: (study, token, options) => call("GET", ofStudy(study, `/history${query({ page_size: 1000, page_token: token })}`), options),
  /** @param {string} study @param {string | number} from @param {Options} [options] @returns {Promise<import("../types/api.js").Replay>} */
  replay: (study, from, options) => call("GET", ofStudy(study, `/replay${query({ from_trial: from })}`), { ...options, patience: LONG_PATIENCE }),
  /** @param {string} body a CreateStudyRequest @param {Options} [options] @returns {Promise<Study>} */
  createStudyAs: async (body, options) => (await call("POST", "/v1/studies", { ...options, body })).study,
  /** @param {string} study @param {import("../types/api.js").ZoomRequest} body @param {Options} [options] @returns {Promise<import("../types/api.js").Zoom>} */
  planZoom: (study, body, options) => call("POST", ofStudy(study, "/zoom"), { ...options, body }),
  /** @param {string} study @param {{trial?: string, next?: boolean, points?: number}} fields @param {Options} [options] @returns {Promise<import("../types/api.js").Slices>} */
  slice: (study, fields, options) => call("POST", ofStudy(study, "/slice"), { ...options, body: fields }),
  /** @param {string} study @param {number} sample @param {Options} [options] @returns {Promise<import("../types/api.js").Incumbents>} */
  incumbents: (study, sample, options) => call("GET", ofStudy(study, `/incumbents${query({ sample })}`), options),
  /** @param {string} study @param {{metric?: string, quantile?: number}} fields @param {Options} [options] @returns {Promise<import("../types/api.js").Importance>} */
  importance: (study, fields, options) => call("GET", ofStudy(study, `/importance${query(fields)}`), options),
  /**
   * @param {string} study
   * @param {{metric?: string, most?: number, points?: number, except?: number | string, trials?: number[]}} fields
   * @param {Options} [options]
   * @returns {Promise<import("../types/api.js").Curves>}
   */
  curves: (study, fields, options) => call("GET", ofStudy(study, `/curves${query(fields)}`), options),
  /** @param {string} study @param {import("../types/api.js").Rule[]} rules @param {Options} [options] @returns {Promise<import("../types/api.js").Backtest>} */
  backtest: (study, rules, options) => call("POST", ofStudy(study, "/backtest"), { ...options, body: { earlyStopping: rules }, patience: LONG_PATIENCE }),
  /** @param {string} study @param {boolean} points */
  events: (study, points) => ofStudy(study, `/events${query({ include_points: points })}`),

  /**
   * @param {string} study
   * @param {{states?: string[], order?: string, token?: string, size?: number, attempts?: boolean, best?: boolean}} page
   * @param {Options} [options]
   * @returns {Promise<{trials?: Trial[], nextPageToken?: string}>}
   */
  trials: (study, { states, order, token, size, attempts, best }, options) =>
    call("GET", ofStudy(study, `/trials${query({ page_size: size ?? 1000, states, order_by: order, page_token: token, with_attempts: attempts, best_only: best })}`), options),
  /** @param {string} study @param {string | number} trial @param {Options} [options] @returns {Promise<Trial>} */
  trial: async (study, trial, options) => (await call("GET", ofTrial(study, trial), options)).trial,
  /** @param {string} study @param {string | number} trial @param {Options} [options] @returns {Promise<{curves?: import("../types/api.js").Curve[]}>} */
  points: (study, trial, options) => call("GET", ofTrial(study, trial, "/points"), options),
  /** @param {string} study @param {string | number} trial @param {string} note @returns {Promise<Trial>} */
  setNote: async (study, trial, note) => (await call("PATCH", ofTrial(study, trial), { body: { note } })).trial,
  /** @param {string} study @param {string | number} trial @param {string[]} tags @returns {Promise<Trial>} */
  setTags: async (study, trial, tags) => (await call("PATCH", ofTrial(study, trial, "?update_mask=tags"), { body: { tags } })).trial,
  /** @param {string} study @param {{parameters: Record<string, import("../types/api.js").Value>, note: string, tags: string[], result?: import("../types/api.js").Result, requestId: string}} body @returns {Promise<Trial>} */
  addTrial: async (study, body) => (await call("POST", ofStudy(study, "/trials"), { body })).trial,
  /** @param {string} study @param {string} body an AddTrialRequest @param {Options} [options] @returns {Promise<Trial>} */
  addTrialAs: async (study, body, options) => (await call("POST", ofStudy(study, "/trials"), { ...options, body })).trial,
  /** @param {string} study @param {string | number} trial @returns {Promise<Trial>} */
  stopTrial: async (study, trial) => (await call("POST", ofTrial(study, trial, "/stop"), { body: {} })).trial,
  /** @param {string} study @param {string | number} trial @param {string} requestId @returns {Promise<Trial>} */
  retryTrial: async (study, trial, requestId) => (await call("POST", ofTrial(study, trial, "/retry"), { body: { requestId } })).trial,
  /**
   * @param {string} study
   * @param {string | number} trial
   * @param {{attempt?: number, stderr?: boolean, tail?: number, follow?: boolean}} fields
   */
  log: (study, trial, { attempt, stderr, tail, follow }) => ofTrial(study, trial, `/log${query({ attempt, stderr, tail_bytes: tail, follow })}`),

  /** @param {Options} [options] @returns {Promise<{workers?: Worker[]}>} */
  workers: (options) => call("GET", "/v1/workers", options),
  /** @param {Options} [options] @returns {Promise<{studies?: import("../types/api.js").QueuedStudy[]}>} */
  queue: (options) => call("GET", "/v1/queue", options),
  /** @param {string} worker @param {boolean} resume */
  drain: (worker, resume) => call("POST", `/v1/workers/${enc(worker)}/drain`, { body: { resume } }),
  /** @param {string} worker */
  removeWorker: (worker) => call("DELETE", `/v1/workers/${enc(worker)}`),
};
