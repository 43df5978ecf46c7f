// What the dashboard reads of the API's messages, in their JSON form: see proto/tunesmith/v1. For checks only; never loaded.

/** A 64-bit number. */
export type Long = string | number;
/** A number; NaN and infinities are texts. */
export type Real = number | "NaN" | "Infinity" | "-Infinity";
export type Value = string | number | boolean | null;

export interface Objective { metric: string; goal?: "GOAL_MINIMIZE" | "GOAL_MAXIMIZE"; from?: string }
export interface Budget { trials?: Long; parallel?: number; wallTime?: string; gpuHours?: number; cost?: number; failures?: Long; target?: number; noImprovement?: NoImprovement; [key: string]: unknown }
export interface NoImprovement { patience?: Long; minDelta?: number; gainBelow?: number; confidence?: number; shadow?: boolean }
export interface Improvement { results?: Long; idle?: Long; gainLeft?: number; confidence?: number; note?: string }
export interface Parameter {
  name: string; type: string; scale?: string; low?: number; high?: number; step?: number; choices?: Value[]; value?: Value;
  when?: { parent: string; values?: Value[] }[];
}
export interface Rule { rule: string; metric?: string; shadow?: boolean; [key: string]: unknown }
export interface Strategy { name?: string; sampler?: string; maxSteps?: Long; reduction?: number; interval?: Long; population?: number; vary?: string[]; [key: string]: unknown }
export interface Spec {
  name: string; message?: string; project?: string; objective?: Objective; moreObjectives?: Objective[]; measuredConstraints?: Bound[]; priority?: number; parent?: string;
  space?: Parameter[]; budget?: Budget; trial?: { steps?: { name?: string; max?: Long }; resources?: { gpus?: number }; maxRuntime?: string }; strategy?: Strategy; earlyStopping?: Rule[];
}
export interface Counts {
  pending?: Long; running?: Long; stopping?: Long; paused?: Long; completed?: Long;
  earlyStopped?: Long; timedOut?: Long; failed?: Long; cancelled?: Long;
}
export interface Spending { wallTime?: string; gpuHours?: number; gpuHoursCommitted?: number; cost?: number; costCommitted?: number; currency?: string }
export interface Rung { step: Long; reached?: Long; resting?: Long; best?: Real }
export interface Bracket { rungs?: Rung[] }
export interface Study {
  name: string; uid: string; spec: Spec; state: string; stateReason?: string; doneReason?: string;
  createdAt?: string; doneAt?: string; revision?: Long; counts?: Counts; best?: Trial; spending?: Spending;
  strategyNote?: string; warnings?: string[]; stepsSaved?: Long; pendingReason?: string; stopperNotes?: string[];
  paretoSet?: Long[]; creator?: string; brackets?: Bracket[]; improvement?: Improvement; history?: object[];
}
export interface Attempt {
  attempt: number; holder?: string; gpus?: string[]; leasedAt?: string; startedAt?: string; endedAt?: string; outcome?: string;
  failureCause?: string; pid?: number; exitCode?: number; peakMemoryBytes?: Long; points?: Long; logTail?: string; cost?: number; pricePerHour?: number;
  usage?: UsageSeries;
}
export interface Decision {
  ruleIndex?: number; rule: string; shadow?: boolean; metric?: string; step?: Long; value?: Real; reference?: Real; comparedTrials?: Long; text?: string; decidedAt?: string;
}
export interface RungResult { rung: Long; step: Long; value?: Real; at?: string }
export interface Change { name: string; from?: Value; to?: Value }
export interface Parent { trial: Long; step?: Long; value?: Real; replaces?: Long; changed?: Change[] }
export interface Best { trial: Long; value?: Real }
export interface BacktestStop {
  trial: Long; decision?: Decision; value?: Real; finalValue?: Real; rank?: Long; lastStep?: Long; stepsSaved?: Long; secondsSaved?: number; gpuSecondsSaved?: number; state?: string;
}
export interface Backtest {
  earlyStopping?: Rule[]; notes?: string[]; stops?: BacktestStop[]; trials?: Long; trialsWithoutPoints?: Long; earlyStopped?: Long; steps?: Long; stepsSaved?: Long;
  seconds?: number; secondsSaved?: number; gpuSeconds?: number; gpuSecondsSaved?: number; best?: Best; bestWithRules?: Best; bestLost?: Best; bestLostRank?: Long; ranked?: Long;
}
export interface Provenance { origin?: string; strategy?: string; seed?: Long; note?: string; results?: Long }
export interface Trial {
  name: string; number: Long; state: string; parameters?: Record<string, Value>; value?: Real; lastStep?: Long;
  metrics?: Record<string, Real>; stateReason?: string; failureCause?: string; stoppedBy?: string; pendingReason?: string;
  note?: string; provenance?: Provenance; attempts?: Attempt[]; decisions?: Decision[]; createdAt?: string; startedAt?: string; endedAt?: string;
  tags?: string[]; seed?: Long; cost?: number; values?: Record<string, Real>; feasible?: boolean; rungs?: RungResult[]; parent?: Parent; constraints?: { metric: string; value?: Real; violation?: Real }[];
  checkpoint?: { storeUid?: string; trial?: Long; attempt?: number; step: Long; bytes?: Long; files?: number; digest?: string };
}
export interface Curve { metric: string; step?: Long[]; value?: Real[] }
export interface TrialCurve { trial: Long; state: string; stateReason?: string; result?: Real; step?: Long[]; value?: Real[] }
export interface Band { step?: Long[]; low?: Real[]; median?: Real[]; high?: Real[]; curves?: number[] }
export interface Curves { metric: string; curves?: TrialCurve[]; band?: Band; trials?: Long }
export interface Results { trial?: Long[]; ended?: Long[]; endedAtMicros?: Long[]; value?: Real[]; state?: string[] }
export interface Incumbents { incumbents?: Results; sample?: Results; ended?: Long; results?: Long }
export interface ParameterImportance { parameter: string; share?: number; deviation?: number; active?: Long }
export interface PairImportance { first: string; second: string; share?: number; deviation?: number }
export interface Importance {
  metric: string; ended?: Long; results?: Long; best?: Long; explained?: number; parameters?: ParameterImportance[]; pairs?: PairImportance[];
}
export interface Points { metrics?: string[]; metric?: number[]; step?: Long[]; value?: Real[] }
export interface Gpu { uuid: string; model?: string; memoryBytes?: Long }
export interface GpuUsage { uuid: string; percent?: number; memoryBytes?: Long; trial?: string }
export interface MachineUsage { cpus?: number; allCpus?: number; memoryBytes?: Long; allMemoryBytes?: Long }
export interface UsageSeries { seconds?: number[]; cpuMillis?: number[]; memoryBytes?: Long[]; gpuPercent?: number[]; gpuMemoryBytes?: Long[] }
export interface QueuedStudy { study: string; waiting?: number; running?: number; priority?: number; reason?: string }
export interface Worker {
  name: string; state: string; stateReason?: string; version?: string; address?: string;
  resources?: { slots?: number; cpus?: number; memoryBytes?: Long; gpus?: Gpu[]; labels?: Record<string, string> };
  trials?: string[]; connectedAt?: string; lastSeenAt?: string; usage?: MachineUsage; gpuUsage?: GpuUsage[];
}
export interface ReplayDifference { trial: Long; stored?: Record<string, Value>; again?: Record<string, Value>; reason?: string }
export interface DecisionDifference { trial: Long; stored?: Decision; again?: Decision }
export interface Replay {
  same?: Long; differences?: ReplayDifference[]; notProposed?: Long; nextTrial?: Long; sameDecisions?: Long; decisionDifferences?: DecisionDifference[];
}
export interface Bound { metric: string; atMost?: number; atLeast?: number }
export interface Session { label: string; version: string; assets: string }
export interface WatchEvent { revision: Long; study?: Study; trial?: Trial; points?: { trial: string; points?: Points } }
export interface ZoomRange { parameter: string; low?: number; high?: number; choices?: Value[] }
export interface ZoomRequest { best?: number; aroundTrial?: Long; margin?: number; ranges?: ZoomRange[] }
export interface Result { value?: Real; values?: Record<string, Real>; state?: string }
export interface Zoom { spec: Spec; notes?: string[]; trials?: Long[]; taken?: Long; leftOut?: Long }
export interface Expectation { metric: string; mean?: Real[]; low?: Real[]; high?: Real[] }
export interface Slice { parameter: string; values?: Value[]; objectives?: Expectation[]; acquisition?: Real[] }
export interface Slices { strategy: string; results?: Long; parameters?: Record<string, Value>; chosen?: Record<string, Value>; acquisition?: string; slices?: Slice[] }
/** A change of a study file. */
export type Edit = { path: string[] } & ({ set: string } | { remove: true } | { rename: string });
export interface Problem { path?: string; line?: number; text?: string }
export interface Checked {
  text?: string; values?: { path?: string[]; text?: string; quoted?: boolean; line?: number }[]; spec?: Spec;
  problems?: Problem[]; warnings?: string[]; facts?: { title: string; text: string }[]; changed?: string[];
}
