// Finds the messages of a server in a stream of chunks without keeping their bodies. Knows only header and length.

/** Called once a message's header is complete, with its type letter's code. */
export type OnMessage = (type: number) => void;

const headerBytes = 5;

/** Feed it every chunk in order. Error messages ("E") are gathered; everything else is skipped by its length. */
export interface MessageScanner {
  feed(chunk: Buffer): void;
  /** The fields of the last ErrorResponse as one text, and forgets it. */
  takeError(): string | undefined;
}

export function createMessageScanner(onMessage: OnMessage): MessageScanner {
  const header = Buffer.alloc(headerBytes);
  let headerFill = 0;
  let bodyLeft = 0;
  let isError = false;
  let errorBody = "";
  let error: string | undefined;

  function endError(): void {
    const fields = new Map(errorBody.split("\0").map((field) => [field[0], field.slice(1)]));
    error = `${fields.get("C") ?? "?????"}: ${fields.get("M") ?? errorBody}`;
    isError = false;
    errorBody = "";
  }

  return {
    feed(chunk) {
      let at = 0;
      while (at < chunk.length) {
        if (bodyLeft > 0) {
          const taken = Math.min(bodyLeft, chunk.length - at);
          if (isError) errorBody += chunk.toString("utf8", at, at + taken);
          at += taken;
          bodyLeft -= taken;
          if (bodyLeft === 0 && isError) endError();
          continue;
        }
        if (headerFill === 0 && chunk.length - at >= headerBytes) {
          begin(chunk[at] ?? 0, chunk.readUInt32BE(at + 1));
          at += headerBytes;
          continue;
        }
        const taken = Math.min(headerBytes - headerFill, chunk.length - at);
        chunk.copy(header, headerFill, at, at + taken);
        headerFill += taken;
        at += taken;
        if (headerFill === headerBytes) {
          headerFill = 0;
          begin(header[0] ?? 0, header.readUInt32BE(1));
        }
      }
    },
    takeError() {
      const taken = error;
      error = undefined;
      return taken;
    },
  };

  function begin(type: number, length: number): void {
    bodyLeft = length - 4;
    isError = type === 0x45; // E
    onMessage(type);
  }
}
