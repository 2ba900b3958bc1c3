// Sequences that once were answered differently through the pooler, as short as they get.
import type { ClientSequence } from "./client-messages.js";

export interface KnownSequence {
  readonly title: string;
  readonly sequence: ClientSequence;
}

export const knownSequences: readonly KnownSequence[] = [
  {
    title: "what stands in a batch before an unknown statement is answered",
    sequence: [
      [["Parse", "s1", "SELECT 1"], ["Bind", "", "s1", []], ["Execute", "", 0], ["Bind", "", "nosuch", []], ["Execute", "", 0], ["Sync"]],
      [["Bind", "", "s1", []], ["Execute", "", 0], ["Sync"]],
      [["Close", "S", "s1"], ["Describe", "S", "s1"], ["Sync"]],
      [["Execute", "p1", 0], ["Bind", "", "nosuch", []], ["Sync"]],
    ],
  },
  {
    title: "an unknown statement behind Flush, and what is passed over up to Sync",
    sequence: [
      [["Parse", "", "SELECT 1/0"], ["Bind", "", "nosuch", []], ["Flush"]],
      [["Parse", "s2", "SELECT 2"], ["Flush"]],
      [["Query", "SELECT 'passed over'"], ["Sync"]],
      [["Describe", "S", "s2"], ["Sync"]],
    ],
  },
  {
    title: "an error in front of an unknown statement is the one that is told",
    sequence: [
      [["Parse", "", "SELECT 1/0"], ["Bind", "", "", []], ["Execute", "", 0], ["Bind", "", "nosuch", []], ["Sync"]],
      [["Query", "BEGIN; SELECT 1"]],
      [["Parse", "", "SELECT 1/0"], ["Bind", "", "", []], ["Execute", "", 0], ["Bind", "", "nosuch", []], ["Flush"]],
      [["Sync"], ["Query", "COMMIT"]],
    ],
  },
  {
    title: "a Parse under a name that is taken is read first",
    sequence: [
      [["Parse", "s1", "SELECT 1"], ["Sync"]],
      [["Parse", "s1", "SELEC 1"], ["Sync"]],
      [["Parse", "s1", "SELECT 2"], ["Sync"]],
      [["Query", "BEGIN; SELECT 1/0"]],
      [["Parse", "s1", "SELECT 2"], ["Sync"], ["Query", "ROLLBACK"]],
      [["Bind", "", "s1", []], ["Execute", "", 0], ["Sync"]],
    ],
  },
  {
    title: "in a failed transaction no Parse is taken but of what ends it",
    sequence: [
      [["Parse", "s1", "SELECT id FROM t"], ["Parse", "s2", "ROLLBACK"], ["Sync"]],
      [["Query", "BEGIN; SELECT 1/0"]],
      [["Parse", "again", "SELECT id FROM t"], ["Sync"]],
      [["Parse", "end", "ROLLBACK"], ["Bind", "", "end", []], ["Execute", "", 0], ["Sync"]],
      [["Describe", "S", "again"], ["Sync"]],
    ],
  },
  {
    title: "in a transaction that has failed without a server, neither",
    sequence: [
      [["Parse", "s1", "SELECT id FROM t"], ["Sync"]],
      [["Query", "BEGIN"]],
      [["Parse", "s1", "SELECT id FROM t"], ["Sync"], ["Parse", "s2", "SAVEPOINT b"], ["Sync"]],
      [
        ["Parse", "end", "ROLLBACK"],
        ["Bind", "", "end", []],
        ["Execute", "", 0],
        ["Parse", "s2", "BEGIN"],
        ["Bind", "", "s2", []],
        ["Execute", "", 0],
        ["Sync"],
      ],
    ],
  },
  {
    title: "errors that name a statement use the client's name",
    sequence: [[["Parse", "é", "SELECT 1"], ["Bind", "", "é", ["1"]], ["Sync"]]],
  },
  {
    title: "an error behind what was answered without a server",
    sequence: [
      [
        ["Query", "BEGIN; RELEASE nosuch"],
        ["Query", "ROLLBACK"],
      ],
      [["Parse", "s1", "DEALLOCATE nosuch"], ["Bind", "", "s1", []], ["Execute", "", 0], ["Parse", "s2", "DEALLOCATE ALL"], ["Sync"]],
      [["Describe", "S", "s1"], ["Sync"], ["Describe", "S", "s2"], ["Sync"]],
    ],
  },
  {
    title: "DISCARD ALL and a failed SET LOCAL are told to the client",
    sequence: [
      [
        ["Query", "SET client_encoding = 'LATIN1'"],
        ["Query", "SET application_name = 'mine'"],
      ],
      [["Query", "DISCARD ALL"]],
      [
        ["Query", "BEGIN"],
        ["Query", "SET LOCAL application_name = 'local'; SELECT 1"],
      ],
      [
        ["Query", "DEALLOCATE nosuch"],
        ["Query", "ROLLBACK"],
      ],
      [["Query", "SHOW application_name"]],
    ],
  },
  {
    title: "RESET goes back to what the client said when it connected, and tells it",
    sequence: [
      [["Query", "SET DateStyle = 'German'; SET application_name = 'mine'; SET work_mem = '9MB'"]],
      [["Query", "RESET application_name"]],
      [["Query", "RESET ALL"]],
      [["Query", "SELECT current_setting('DateStyle'), current_setting('application_name'), current_setting('work_mem')"]],
    ],
  },
  {
    title: "transaction control with parameters, and a portal of it that is run twice",
    sequence: [
      [["Parse", "s1", "END"], ["Bind", "", "s1", ["1"]], ["Execute", "", 0], ["Sync"]],
      [["Query", "BEGIN"]],
      [["Parse", "s2", "ROLLBACK"], ["Bind", "p1", "s2", []], ["Execute", "p1", 0], ["Execute", "p1", 0], ["Sync"]],
      [["Query", "ROLLBACK"]],
    ],
  },
  {
    title: "the end of a transaction that has failed without a server, and what follows in the same string",
    sequence: [
      [["Query", "BEGIN"]],
      [["Bind", "", "nosuch", []], ["Sync"]],
      [["Query", "ROLLBACK; SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"]],
      [["Query", "BEGIN; SET application_name = 'lost'"]],
      [["Bind", "", "nosuch", []], ["Sync"]],
      [["Query", "/* rolls back */ COMMIT; SELECT current_setting('application_name')"]],
      [["Query", "BEGIN READ ONLY"]],
      [["Bind", "", "nosuch", []], ["Sync"]],
      [["Query", "END; SELECT current_setting('transaction_read_only')"]],
      [["Query", "BEGIN"]],
      [["Bind", "", "nosuch", []], ["Sync"]],
      [["Query", "COMMIT AND CHAIN; SELECT 1/0"]],
      [["Query", "COMMIT; SELECT nothing"]],
    ],
  },
  {
    title: "a portal in a transaction that the pooler has made fail: the unnamed one of a simple query is there, and is of no use",
    sequence: [
      [["Query", "BEGIN; SELECT 1"]],
      [["Query", "DEALLOCATE nosuch"]],
      [["Execute", "", 0], ["Flush"]],
      [["Sync"], ["Query", "ROLLBACK"]],
      [["Query", "BEGIN; SELECT 1"]],
      [["Bind", "", "nosuch", []], ["Sync"]],
      [["Execute", "", 0], ["Sync"]],
      [["Query", "ROLLBACK"]],
    ],
  },
  {
    title: "what is passed over behind an error does not count",
    sequence: [
      [["Parse", "s1", "SELECT 'not closed"], ["Flush"]],
      [["Parse", "s1", "COMMIT"], ["Flush"]],
      [["Sync"], ["Bind", "p1", "s1", []], ["Sync"]],
    ],
  },
  {
    title: "PREPARE TRANSACTION of a transaction that has failed without a server is a ROLLBACK",
    sequence: [
      [["Query", "BEGIN"]],
      [["Bind", "", "nosuch", []], ["Sync"]],
      [["Query", "PREPARE TRANSACTION 'mine'"]],
      [["Query", "BEGIN"]],
      [["Bind", "", "nosuch", []], ["Sync"]],
      [["Parse", "", "PREPARE TRANSACTION 'mine'"], ["Bind", "", "", []], ["Execute", "", 0], ["Sync"]],
      [["Query", "BEGIN"]],
      [["Query", "DEALLOCATE nosuch"]],
      [["Query", "PREPARE TRANSACTION 'mine'"]],
      [["Query", "SELECT count(*) FROM pg_prepared_xacts"]],
    ],
  },
];
