// What goes wrong for reasons outside this code: a program that is missing, a peer that does not start. Printed without a stack.

export class BenchError extends Error {
  override readonly name = "BenchError";
}
