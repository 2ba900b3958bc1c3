// What goes wrong for reasons outside this code: no binaries for the platform, a server that does not come up, a registry out of reach.

export class ClusterError extends Error {
  override readonly name = "ClusterError";
}
