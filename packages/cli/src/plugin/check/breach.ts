// What a check may find: a breach of the contract, with where it showed.

export class Breach extends Error {
  /** Without where: the same problem is told once. */
  readonly problem: string;

  constructor(problem: string, where: string | null = null) {
    super(where === null ? problem : `${where}: ${problem}`);
    this.problem = problem;
  }

  at(where: string): Breach {
    return new Breach(this.problem, where);
  }
}

export function breach(problem: string): Breach {
  return new Breach(problem);
}
