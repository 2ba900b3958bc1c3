import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import type { PoolerConfig } from "../config/types.js";
import type { ToSupervisor, ToWorker } from "../supervisor/ipc.js";
import { createWorkerLink, type OrderHandlers, type WorkerLink } from "./link.js";

/** The channel with its other end in the test's hands. */
class Channel extends EventEmitter {
  connected = true;
  readonly sent: ToSupervisor[] = [];
  send(message: unknown): boolean {
    this.sent.push(message as ToSupervisor);
    return true;
  }
  disconnect(): void {
    this.connected = false;
    this.emit("disconnect");
  }
  say(message: ToWorker): void {
    this.emit("message", message);
  }
}

function start(): { channel: Channel; link: WorkerLink; orders: string[]; handlers: OrderHandlers } {
  const channel = new Channel();
  const orders: string[] = [];
  const note = (order: { readonly kind: string }): void => {
    orders.push(order.kind);
  };
  const handlers: OrderHandlers = {
    configure: note,
    snapshot: note,
    pause: note,
    resume: note,
    retire: note,
    drain: note,
    outOfService: note,
    cancel: note,
    slots: note,
    slotsWanted: note,
  };
  return { channel, link: createWorkerLink(channel), orders, handlers };
}

test("the boot message reaches a handler that comes later than the message", () => {
  const { channel, link } = start();
  channel.say({ kind: "boot", worker: 3, config: {} as PoolerConfig, listeners: 1, outOfService: [], shares: false });
  let worker = 0;
  link.onBoot((boot) => {
    worker = boot.worker;
  });
  expect(worker).toBe(3);
});

test("orders wait until the worker is ready, and keep their order", () => {
  const { channel, link, orders, handlers } = start();
  link.onOrders(handlers);
  channel.say({ kind: "pause", id: 1, database: null });
  channel.say({ kind: "snapshot", id: 2, detail: true });
  expect(orders).toEqual([]);
  link.send({ kind: "ready", io: "streams" });
  expect(orders).toEqual(["pause", "snapshot"]);
  channel.say({ kind: "drain", deadlineMs: 0 });
  expect(orders).toEqual(["pause", "snapshot", "drain"]);
});

test("each console answer reaches the one who asked", async () => {
  const { channel, link } = start();
  const pools = link.requestConsole("alice", true, "SHOW POOLS");
  const lists = link.requestConsole("bob", false, "SHOW LISTS");
  expect(channel.sent).toEqual([
    { kind: "console", id: 1, user: "alice", admin: true, sql: "SHOW POOLS" },
    { kind: "console", id: 2, user: "bob", admin: false, sql: "SHOW LISTS" },
  ]);
  channel.say({ kind: "consoleResult", id: 2, result: { ok: true, columns: [], rows: [], tag: "two", notices: [] } });
  channel.say({ kind: "consoleResult", id: 1, result: { ok: true, columns: [], rows: [], tag: "one", notices: [] } });
  expect(await pools).toMatchObject({ tag: "one" });
  expect(await lists).toMatchObject({ tag: "two" });
});

test("when the supervisor goes, those who wait for it get an error and the worker is told once", async () => {
  const { channel, link } = start();
  let told = 0;
  link.onDisconnect(() => {
    told += 1;
  });
  const pending = link.requestConsole("alice", true, "PAUSE");
  channel.disconnect();
  channel.emit("disconnect");
  expect(await pending).toMatchObject({ ok: false, sqlstate: "57P01" });
  expect(await link.requestConsole("alice", true, "SHOW STATE")).toMatchObject({ ok: false });
  expect(told).toBe(1);
  const before = channel.sent.length;
  link.send({ kind: "done", id: 1 });
  expect(channel.sent).toHaveLength(before);
});

test("a worker that closes the channel itself is not told that the supervisor went", () => {
  const { channel, link } = start();
  let told = false;
  link.onDisconnect(() => {
    told = true;
  });
  link.close();
  expect(channel.connected).toBe(false);
  expect(told).toBe(false);
});

test("Ctrl-C is the supervisor's business, SIGTERM is passed on to it", () => {
  const { channel } = start();
  expect(channel.listenerCount("SIGINT")).toBe(1);
  expect(channel.listenerCount("SIGHUP")).toBe(1);
  channel.emit("SIGTERM");
  expect(channel.sent).toEqual([{ kind: "terminate" }]);
});
