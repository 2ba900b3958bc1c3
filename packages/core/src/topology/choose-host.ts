// Which host serves a route: a pure function of what is known. Reads go to the replica with the least work that is up, and
// to the primary where there is none; everything else goes to the primary.

export interface Candidate {
  readonly up: boolean;
  /** Clients that it serves or that wait for it. */
  readonly load: number;
}

/** Index of the replica to use, -1 for the primary. */
export function chooseReplica(replicas: readonly Candidate[]): number {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < replicas.length; i++) {
    const replica = replicas[i] as Candidate;
    if (replica.up && replica.load < least) {
      best = i;
      least = replica.load;
    }
  }
  return best;
}
