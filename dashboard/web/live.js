// What keeps a view up to date: a study's events as they are committed, and reading anew where there are none. Both wait longer from try
// to try while the coordinator is away, rest while nobody looks at the page, and tell how they are.

import { ApiError } from "./api.js";

/** @typedef {"connecting" | "live" | "away" | "ended"} Health */
/** @typedef {import("../types/api.js").WatchEvent} WatchEvent */

/** Waits between tries, in milliseconds. */
const FIRST_WAIT = 500;
const LAST_WAIT = 10_000;
/** Between two looks at a study that has ended. */
const ENDED_WAIT = 30_000;
/** After a page has been hidden for that long its stream is closed: browsers allow few connections to one host. */
const HIDDEN = 20_000;

/** @type {Map<object, Health>} */
const healths = new Map();
/** @type {Set<() => void>} */
const listeners = new Set();
/** When something was heard of the coordinator last. */
let heard = Date.now();

/** @returns {{health: Health | null, heard: number}} how the present view stands with the coordinator */
export function health() {
  const all = [...healths.values()];
  const worst = /** @type {Health[]} */ (["away", "connecting", "live", "ended"]).find((one) => all.includes(one));
  return { health: worst ?? null, heard };
}

/** @param {() => void} listener */
export function onHealth(listener) {
  listeners.add(listener);
}

/**
 * @param {object} who
 * @param {Health | null} how
 */
function tell(who, how) {
  if (how === "live" || how === "ended") heard = Date.now();
  if (how === null) healths.delete(who);
  else if (healths.get(who) === how) return;
  else healths.set(who, how);
  for (const listener of listeners) listener();
}

/** @param {number} tries so far */
export function wait(tries) {
  return Math.min(LAST_WAIT, FIRST_WAIT * 2 ** tries) * (0.75 + Math.random() / 2);
}

/**
 * Follows a study until `signal` says stop. `begin` is called with the study as it is each time the stream begins, and may read more; what
 * is committed in the meantime is kept for `take`, which comes after it. Browsers do not tell why a stream did not begin: `probe` asks for
 * the same by a call.
 * @param {string} address
 * @param {{begin: (study: import("../types/api.js").Study) => Promise<void>, take: (event: WatchEvent) => void, probe: () => Promise<unknown>, over: () => boolean, failed: (error: unknown) => void}} view
 * @param {AbortSignal} signal
 */
export function follow(address, view, signal) {
  const who = {};
  let tries = 0;
  let given = false;
  /** @type {EventSource | null} */
  let source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let hiddenAt = 0;
  /** What was read last, to read nothing anew of a study that has ended and in which nothing has happened. */
  let revision = "";

  const close = () => {
    source?.close();
    source = null;
    clearTimeout(timer);
  };
  const again = () => {
    close();
    if (signal.aborted || given) return;
    const over = view.over();
    tell(who, over ? "ended" : tries > 0 ? "away" : "connecting");
    // A study that has ended may be resumed by somebody.
    timer = setTimeout(open, over ? ENDED_WAIT : wait(tries));
    tries = over ? 0 : tries + 1;
  };
  const giveUp = (/** @type {unknown} */ error) => {
    given = true;
    close();
    tell(who, null);
    view.failed(error);
  };
  const open = () => {
    close();
    if (signal.aborted || given) return;
    if (!healths.has(who)) tell(who, "connecting");
    const stream = new EventSource(address);
    source = stream;
    /** @type {WatchEvent[] | null} */
    let kept = null;
    let [begun, closed, silent] = [false, false, true];
    /** @param {import("../types/api.js").Study} study */
    const begin = async (study) => {
      kept = [];
      try {
        await view.begin(study);
      } catch (error) {
        if (signal.aborted || stream !== source) return;
        if (error instanceof ApiError && error.away) return again();
        return giveUp(error);
      }
      if (signal.aborted || stream !== source) return;
      begun = true;
      tries = 0;
      const waiting = kept;
      kept = null;
      for (const event of waiting) view.take(event);
      tell(who, view.over() ? "ended" : "live");
      // The stream of a study that has ended is over before all of it was read.
      if (closed) again();
    };
    const receive = (/** @type {MessageEvent} */ message) => {
      if (stream !== source) return;
      heard = Date.now();
      silent = false;
      const event = /** @type {WatchEvent} */ (JSON.parse(message.data));
      const before = revision;
      if (event.study) revision = `${event.study.state} ${event.study.revision}`;
      if (kept) kept.push(event);
      else if (begun) view.take(event);
      else if (event.study && !(view.over() && revision === before)) void begin(event.study);
    };
    for (const kind of ["study", "trial", "points"]) stream.addEventListener(kind, receive);
    // Too slow, or the coordinator stops: begin anew.
    stream.addEventListener("failed", () => stream === source && again());
    stream.addEventListener("error", () => {
      if (stream !== source) return;
      if (kept) {
        closed = true;
        stream.close();
      } else if (silent) {
        stream.close();
        const mine = () => !signal.aborted && stream === source;
        view.probe().then(
          () => mine() && again(),
          (error) => mine() && (error instanceof ApiError && error.away ? again() : giveUp(error)),
        );
      } else again();
    });
  };
  document.addEventListener(
    "visibilitychange",
    () => {
      if (document.hidden) {
        hiddenAt = Date.now();
        clearTimeout(timer);
        timer = setTimeout(() => source && document.hidden && (close(), tell(who, "connecting")), HIDDEN);
      } else if (!source || source.readyState === EventSource.CLOSED || Date.now() - hiddenAt > HIDDEN) {
        tries = 0;
        open();
      } else {
        clearTimeout(timer);
      }
    },
    { signal },
  );
  signal.addEventListener("abort", () => {
    close();
    tell(who, null);
  });
  open();
}

/**
 * Reads again and again until `signal` says stop, at once when the page is looked at again.
 * @param {(signal: AbortSignal) => Promise<number>} read gives the time until it is to be read again, in milliseconds
 * @param {(error: unknown) => void} failed told of refusals, after which it is not read again
 * @param {AbortSignal} signal
 * @returns {() => void} reads at once
 */
export function repeat(read, failed, signal) {
  const who = {};
  let tries = 0;
  let round = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const run = async () => {
    clearTimeout(timer);
    const mine = ++round;
    try {
      const pause = await read(signal);
      if (signal.aborted || mine !== round) return;
      tries = 0;
      tell(who, "live");
      heard = Date.now();
      if (!document.hidden) timer = setTimeout(run, pause);
    } catch (error) {
      if (signal.aborted || mine !== round) return;
      if (!(error instanceof ApiError) || !error.away) {
        tell(who, null);
        failed(error);
        return;
      }
      tell(who, "away");
      timer = setTimeout(run, wait(tries));
      tries += 1;
    }
  };
  document.addEventListener(
    "visibilitychange",
    () => {
      if (document.hidden) clearTimeout(timer);
      else void run();
    },
    { signal },
  );
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    tell(who, null);
  });
  tell(who, "connecting");
  void run();
  return () => void run();
}

/**
 * Calls `work` soon after it is asked to, at most once in `pause` milliseconds.
 * @param {() => void} work
 * @param {number} pause
 * @param {AbortSignal} signal
 */
export function gently(work, pause, signal) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let last = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    if (timer !== undefined || signal.aborted) return;
    timer = setTimeout(
      () => {
        timer = undefined;
        last = Date.now();
        work();
      },
      Math.max(0, last + pause - Date.now()),
    );
  };
}
