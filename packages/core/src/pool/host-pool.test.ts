// A pool's limits, lists and times against a host that is played.
import { describe, expect, test } from "vitest";
import { greeting, loginRefusal, type PoolRig, createPoolRig as rig } from "../../fixtures/pool-rig.js";
import type { PoolerError } from "../base/errors.js";
import { createBorrowedSlots } from "./slot-source.js";

describe("lending", () => {
  test("as many connections as clients, up to the pool's size; the next one to come free goes to who waits longest", () => {
    const { pool, host, acquire, clock } = rig({ poolSize: 2 });
    const clients = [acquire(), acquire(), acquire(), acquire()];
    host.settle();
    expect(clients.map(({ server }) => server !== null)).toEqual([true, true, false, false]);
    expect(host.wires).toHaveLength(2);
    clients[1]?.release(clock.nowMs());
    expect(clients.map(({ server }) => server !== null)).toEqual([true, false, true, false]);
    expect(pool.waiters).toHaveLength(1);
  });

  test("a server that was lost makes room for another one", () => {
    const { host, acquire } = rig({ poolSize: 1 });
    const [first, second] = [acquire(), acquire()];
    host.settle();
    host.wires[0]?.drop();
    host.settle();
    expect([first.server, second.server !== null, host.wires.length]).toEqual([null, true, 2]);
  });

  test("who waits for longer than query_wait is told, and how full the pool is", () => {
    const { pool, host, acquire, clock } = rig({ poolSize: 1, timeouts: { queryWaitMs: 500 } });
    acquire();
    host.settle();
    const late = acquire();
    clock.advance(499);
    pool.tick(clock.nowMs());
    expect(late.refused).toBeNull();
    clock.advance(1);
    pool.tick(clock.nowMs());
    expect(late.refused).toMatchObject({
      cause: "time",
      error: { code: "WAIT_TIMEOUT", sqlstate: "53300", detail: expect.stringContaining("1 of 1 connections are in use") },
    });
  });
});

describe("who may wait", () => {
  test("max_waiting: who comes later is refused at once, and a reload changes it", () => {
    const { pool, host, acquire } = rig({ poolSize: 1, maxWaiting: 2 });
    acquire();
    host.settle();
    const waiting = [acquire(), acquire()];
    const refused = acquire();
    expect(refused.refused).toMatchObject({
      error: {
        code: "TOO_MANY_WAITING",
        sqlstate: "53300",
        retryable: true,
        message: "2 clients wait for a server connection already: max_waiting is reached",
        detail: expect.stringContaining("1 of 1 connections are in use"),
      },
    });
    pool.forget(waiting[0] as (typeof waiting)[0]);
    expect(acquire().refused).toBeNull();
    pool.reconfigure(1, 3, null);
    expect([acquire().refused, acquire().refused?.error.code]).toEqual([null, "TOO_MANY_WAITING"]);
  });

  /** Five clients of a hundred have had their turn in the last second. */
  function slowPool(): ReturnType<typeof rig> {
    const pool = rig({ poolSize: 1, timeouts: { queryWaitMs: 10_000 } });
    const clients = Array.from({ length: 100 }, () => pool.acquire());
    pool.host.settle();
    pool.pool.tick(pool.clock.nowMs());
    for (let round = 0; round < 2; round++) {
      pool.clock.advance(1_000);
      for (let i = 0; i < 5; i++) clients.find(({ server }) => server !== null)?.release(pool.clock.nowMs());
      pool.pool.tick(pool.clock.nowMs());
    }
    return pool;
  }

  test("who could not be served within query_wait, as fast as it goes, is refused at once", () => {
    expect(slowPool().acquire().refused?.error).toMatchObject({
      code: "TOO_MANY_WAITING",
      message: "no server connection would come free within 10000 ms: 89 clients wait already",
    });
  });

  test("while the database is paused nobody is: it is the pause that they wait for", () => {
    const { pool, acquire } = slowPool();
    pool.pause();
    expect(acquire().refused).toBeNull();
  });

  test("when those who wait were told that the host is down, the others begin anew", () => {
    const { host, acquire, clock } = slowPool();
    host.refusal = new Error("connect ECONNREFUSED");
    host.wires[0]?.drop();
    host.settle();
    clock.advance(20_000);
    host.refusal = null;
    host.settle();
    const clients = Array.from({ length: 60 }, () => acquire());
    expect(clients.filter(({ refused }) => refused?.error.code === "TOO_MANY_WAITING")).toEqual([]);
  });
});

describe("connections that have had their time", () => {
  test("server_idle closes what nobody used for so long, and only that", () => {
    const { pool, host, acquire, clock } = rig({ timeouts: { serverIdleMs: 1_000 } });
    const [busy, idle] = [acquire(), acquire()];
    host.settle();
    idle.release(clock.nowMs());
    clock.advance(1_001);
    pool.tick(clock.nowMs());
    expect(host.openWires).toHaveLength(1);
    expect(busy.server).not.toBeNull();
  });

  test("server_lifetime closes an idle connection at once and a lent one when it comes free", () => {
    const { pool, host, acquire, clock } = rig({ timeouts: { serverIdleMs: 0, serverLifetimeMs: 1_000 } });
    const [busy, idle] = [acquire(), acquire()];
    host.settle();
    idle.release(clock.nowMs());
    clock.advance(1_001);
    pool.tick(clock.nowMs());
    expect(host.openWires).toHaveLength(1);
    busy.release(clock.nowMs());
    expect(host.openWires).toHaveLength(0);
  });
});

describe("a host that is down", () => {
  test("everyone who waits is told at once, and those who come until the next try", () => {
    const { host, state, acquire, clock } = rig();
    host.refusal = new Error("connect ECONNREFUSED");
    const first = acquire();
    host.settle();
    expect(first.refused).toMatchObject({ cause: "host", error: { code: "HOST_DOWN", sqlstate: "08006" } });
    expect(state).toMatchObject({ up: false, lastError: { code: "HOST_DOWN" } });
    clock.advance(999);
    expect(acquire().refused).toMatchObject({ error: { code: "HOST_DOWN" } });
    expect(host.dialed).toHaveLength(0);
  });

  test("it is tried again every host_retry, also when nobody waits, and is up with the first connection", () => {
    const { host, state, acquire, clock } = rig();
    host.refusal = new Error("connect ECONNREFUSED");
    acquire();
    host.settle();
    clock.advance(1_000);
    expect(host.dialed).toHaveLength(1);
    host.settle();
    host.refusal = null;
    clock.advance(1_000);
    host.settle();
    expect(state).toMatchObject({ up: true, downSinceMs: null, lastError: null });
    expect(acquire().server).not.toBeNull();
  });

  test("a worker that borrows its slots tries again, too", () => {
    const wanted: string[] = [];
    const slots = createBorrowedSlots({ want: (key) => wanted.push(key), giveBack: () => {} });
    const { host, state, pool, acquire, clock } = rig({ slots });
    const lend = (): void => {
      for (const key of wanted.splice(0)) {
        slots.lent(key, 1);
        pool.onSlots();
      }
      host.settle();
    };
    host.refusal = new Error("connect ECONNREFUSED");
    acquire();
    lend();
    expect(state.up).toBe(false);
    host.refusal = null;
    clock.advance(1_000);
    lend();
    expect(state.up).toBe(true);
  });

  test("as long as a connection is alive those who wait keep waiting for it", () => {
    const { host, acquire, clock } = rig();
    const busy = acquire();
    host.settle();
    host.refusal = new Error("connect ETIMEDOUT");
    const waiting = acquire();
    host.settle();
    expect(waiting.refused).toBeNull();
    busy.release(clock.nowMs());
    expect(waiting.server).not.toBeNull();
  });

  test("when the last connection is lost they are told at once", () => {
    const { host, acquire } = rig();
    acquire();
    host.settle();
    host.refusal = new Error("connect ECONNREFUSED");
    const waiting = acquire();
    host.settle();
    host.wires[0]?.drop();
    host.settle();
    expect(waiting.refused).toMatchObject({ cause: "host", error: { code: "HOST_DOWN" } });
  });
});

describe("a server that refuses the login", () => {
  test("is not called down, but the pool is of no use until the next try", () => {
    const { host, state, pool, acquire, clock } = rig();
    host.answer = loginRefusal;
    const client = acquire();
    host.settle();
    expect(client.refused).toMatchObject({ cause: "host", error: { code: "SERVER_LOGIN_FAILED" } });
    expect([state.up, pool.usable]).toEqual([true, false]);
    host.answer = greeting;
    clock.advance(1_000);
    expect(pool.usable).toBe(true);
    const next = acquire();
    host.settle();
    expect(next.server).not.toBeNull();
    expect(state.lastError).toBeNull();
  });
});

describe("the greeting", () => {
  test("is asked of one connection for all who want to know it", () => {
    const { pool, host } = rig();
    const heard: (PoolerError | null)[] = [];
    pool.withGreeting((error) => heard.push(error));
    pool.withGreeting((error) => heard.push(error));
    expect(host.dialed).toHaveLength(1);
    host.settle();
    pool.withGreeting((error) => heard.push(error));
    expect(heard).toEqual([null, null, null]);
  });

  test("those who wait for it hear why there is none", () => {
    const heard: (PoolerError | null)[] = [];
    const down = rig();
    down.host.refusal = new Error("connect ECONNREFUSED");
    down.pool.withGreeting((error) => heard.push(error));
    down.host.settle();
    const retired = rig();
    retired.pool.withGreeting((error) => heard.push(error));
    retired.pool.retire();
    expect(heard).toMatchObject([{ code: "HOST_DOWN" }, { code: "HOST_DOWN" }]);
  });
});

describe("PAUSE", () => {
  test("idle connections close, lent ones when they come free, new ones wait for RESUME", () => {
    const { pool, host, acquire, clock } = rig({ poolSize: 3 });
    const [busy, idle] = [acquire(), acquire()];
    host.settle();
    idle.release(clock.nowMs());
    pool.pause();
    expect(host.openWires).toHaveLength(1);
    const waiting = acquire();
    busy.release(clock.nowMs());
    expect(host.openWires).toHaveLength(0);
    expect([host.dialed.length, waiting.server, waiting.refused]).toEqual([0, null, null]);
    pool.resume();
    host.settle();
    expect(waiting.server).not.toBeNull();
  });

  test("nothing is opened before RESUME, not even to be greeted, and then at once, whatever went wrong before", () => {
    const { pool, host, acquire } = rig();
    host.refusal = new Error("connect ECONNREFUSED");
    acquire();
    host.settle();
    pool.pause();
    const heard: (PoolerError | null)[] = [];
    pool.reconfigure(2, 0, null);
    pool.withGreeting((error) => heard.push(error));
    expect(host.dialed).toHaveLength(0);
    host.refusal = null;
    pool.resume();
    host.settle();
    expect(heard).toEqual([null]);
  });

  test("who waits for longer than query_wait is told that it is paused", () => {
    const { pool, acquire, clock } = rig({ timeouts: { queryWaitMs: 500 } });
    pool.pause();
    const waiting = acquire();
    clock.advance(500);
    pool.tick(clock.nowMs());
    expect(waiting.refused).toMatchObject({ error: { code: "PAUSED", sqlstate: "57P03" } });
  });
});

describe("a reload", () => {
  test("a larger pool serves those who wait at once", () => {
    const { pool, host, acquire } = rig({ poolSize: 1 });
    const clients = [acquire(), acquire(), acquire()];
    host.settle();
    pool.reconfigure(3, 0, null);
    host.settle();
    expect(clients.every(({ server }) => server !== null)).toBe(true);
  });

  test("a smaller pool closes what is idle now, and the rest as it comes free", () => {
    const { pool, host, acquire, clock } = rig({ poolSize: 4 });
    const clients = [acquire(), acquire(), acquire(), acquire()];
    host.settle();
    clients[0]?.release(clock.nowMs());
    pool.reconfigure(2, 0, null);
    expect(host.openWires).toHaveLength(3);
    clients[1]?.release(clock.nowMs());
    expect(host.openWires).toHaveLength(2);
    clients[2]?.release(clock.nowMs());
    expect(host.openWires).toHaveLength(2);
  });

  test("what could not be opened is tried again with what the configuration says now", () => {
    let password = "wrong";
    const { pool, host, acquire } = rig({ credentials: () => ({ password, passThroughKeys: null }) });
    host.answer = loginRefusal;
    acquire();
    host.settle();
    password = "right";
    host.answer = greeting;
    pool.reconfigure(2, 0, null);
    const client = acquire();
    host.settle();
    expect(client.server).not.toBeNull();
  });

  test("a pool that is gone sends those who wait elsewhere, and closes each connection as it comes free", () => {
    const { pool, host, acquire, clock } = rig({ poolSize: 2 });
    const [busy, idle] = [acquire(), acquire()];
    host.settle();
    idle.release(clock.nowMs());
    acquire();
    const waiting = acquire();
    pool.retire();
    expect(waiting.refused).toMatchObject({ cause: "replaced" });
    expect(busy.server).not.toBeNull();
    busy.release(clock.nowMs());
    expect(host.openWires).toHaveLength(1);
    expect(host.dialed).toHaveLength(0);
  });
});

describe("slots that another worker wants", () => {
  function borrowing(): PoolRig & { given: () => number; slots: ReturnType<typeof createBorrowedSlots> } {
    let given = 0;
    const slots = createBorrowedSlots({
      want: (key) => slots.lent(key, 1),
      giveBack: (_key, count) => {
        given += count;
      },
    });
    return { ...rig({ slots, poolSize: 3 }), given: () => given, slots };
  }

  test("urgent: idle connections go now, others as they come free although clients wait", () => {
    const { pool, host, acquire, clock, given } = borrowing();
    const clients = [acquire(), acquire(), acquire()];
    for (let i = 0; i < 3; i++) {
      pool.onSlots();
      host.settle();
    }
    expect(clients.every(({ server }) => server !== null)).toBe(true);
    clients[0]?.release(clock.nowMs());
    pool.giveUp(2, true);
    host.settle();
    expect(given()).toBe(1);
    clients[1]?.release(clock.nowMs());
    host.settle();
    expect(given()).toBe(2);
    clients[2]?.release(clock.nowMs());
    host.settle();
    expect(given()).toBe(2);
  });

  test("not urgent: only what has been idle for a while goes", () => {
    const { pool, host, acquire, clock, given } = borrowing();
    const client = acquire();
    pool.onSlots();
    host.settle();
    client.release(clock.nowMs());
    pool.giveUp(1, false);
    expect(given()).toBe(0);
    clock.advance(101);
    pool.tick(clock.nowMs());
    host.settle();
    expect(given()).toBe(1);
  });
});
