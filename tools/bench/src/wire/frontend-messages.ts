// Bytes of the messages that the benchmark itself sends. Text only, lengths computed; nothing is checked.

export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const body = Object.entries(parameters).flat();
  const text = Buffer.from(`${body.join("\0")}\0\0`);
  const message = Buffer.alloc(8 + text.length);
  message.writeInt32BE(message.length, 0);
  message.writeInt32BE(196_608, 4); // protocol 3.0
  text.copy(message, 8);
  return message;
}

export function queryMessage(sql: string): Buffer {
  return framed("Q", Buffer.from(`${sql}\0`));
}

export function parseMessage(name: string, sql: string): Buffer {
  return framed("P", Buffer.from(`${name}\0${sql}\0\0\0`));
}

/** Bind without parameters to the unnamed portal, and Execute of all its rows. */
export function bindAndExecuteMessages(statement: string): Buffer {
  return Buffer.concat([framed("B", Buffer.from(`\0${statement}\0\0\0\0\0\0\0`)), framed("E", Buffer.from("\0\0\0\0\0"))]);
}

export function copyDataMessage(data: Buffer): Buffer {
  return framed("d", data);
}

export const syncMessage = framed("S", Buffer.alloc(0));
export const copyDoneMessage = framed("c", Buffer.alloc(0));
export const terminateMessage = framed("X", Buffer.alloc(0));

function framed(type: string, body: Buffer): Buffer {
  const message = Buffer.alloc(5 + body.length);
  message.write(type, 0, "latin1");
  message.writeInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}
