// What `import ... from "cretoai/client"` gives: the one place where names are gathered, because a package has one door.
export type { KeyChange } from "./change-feed.ts";
export type { Client, FinalizedOptions, SubscribeOptions } from "./client.ts";
export type { CommandOptions, Consistency, ReadOptions } from "./commands.ts";
// biome-ignore lint/performance/noBarrelFile: the package's door
export { type ConnectOptions, connect } from "./connect.ts";
export { CretoError, type CretoErrorCode, type ProblemDocument } from "./creto-error.ts";
export type {
  Expected,
  KeyValue,
  KeyValueEntry,
  KeyValueList,
  RangeOptions,
  SetOutcome,
  WatchOptions,
  WriteOptions,
  Written,
} from "./key-value.ts";
export type { Ledger } from "./ledger.ts";
export type {
  AccountBalance,
  AccountsOptions,
  Allowance,
  ApprovalOrder,
  ApprovalReceipt,
  LedgerAccount,
  LedgerPlace,
  LedgerReadOptions,
  LedgerStanding,
  LedgerSummary,
  LedgerWriteOptions,
  TransferFromOrder,
  TransferFromReceipt,
  TransferOptions,
  TransferOrder,
  TransferReceipt,
} from "./ledger-answers.ts";
export type { CommandOutcome, CommandPlace, QueryAnswer } from "./outcome.ts";
export type { CallOptions } from "./patience.ts";
export type { CommandId, SessionOptions } from "./session.ts";
export type { WebSocketLike, WebSocketMaker } from "./socket.ts";
export type { SubmitOneOptions, SubmitOptions } from "./submissions.ts";
export type { StreamOptions, Subscription } from "./subscription.ts";
export type { VerifiedVertex } from "./verified.ts";
export type {
  FinalizedEvent,
  InterruptedEvent,
  ProposedEvent,
  RejectedEvent,
  StreamEvent,
  Topic,
  ValidatorsEvent,
} from "./vertex-feed.ts";
export type { Bytes, FinalizedVertex, FinalReceipt, NodeStatus, Receipt, Vertex, VertexState } from "./vertices.ts";
export type { ClaimOptions, WaitOptions, Workflow } from "./workflow.ts";
export { StepFailed } from "./workflow-held-task.ts";
export { WorkflowRefused, type WorkflowRefusal } from "./workflow-refused.ts";
export type {
  Claimable,
  NothingToClaim,
  RunStatus,
  RunSummary,
  StepHandler,
  StepLease,
  StepStatus,
  TaskTools,
  WorkflowStep,
  WorkflowTask,
} from "./workflow-types.ts";
export { runWorker, type WorkerOptions, type WorkerReport } from "./workflow-worker.ts";
