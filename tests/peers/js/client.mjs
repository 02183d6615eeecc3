// Requester on the @a2a-js/sdk 1.x client over any of its bindings, unmodified. The modes are those of
// ../client_common.py, told once more in this language: reads the cells from stdin, writes one JSON line for each when
// all are done.

import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { text as readAll } from 'node:stream/consumers';
import { SendMessageRequest, StreamResponse, Task, TaskPushNotificationConfig } from '@a2a-js/sdk';
import { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';

// Cells under way at once, and milliseconds between two polls: as in ../client_common.py.
const CONCURRENCY = 8;
const POLL_INTERVAL = 200;

const TERMINAL = new Set(['TASK_STATE_COMPLETED', 'TASK_STATE_FAILED', 'TASK_STATE_REJECTED', 'TASK_STATE_CANCELED']);
const PAUSED = new Set(['TASK_STATE_INPUT_REQUIRED', 'TASK_STATE_AUTH_REQUIRED']);
const FOLLOW_UPS = { ask: 'blue' };

const inner = (body) => body.task ?? body.message ?? body.statusUpdate ?? body.artifactUpdate ?? body;
const stateOf = (body) => inner(body).status?.state;
const over = (body) => TERMINAL.has(stateOf(body));
const overOrPaused = (body) => over(body) || PAUSED.has(stateOf(body));
const taskIdOf = (body) => inner(body).taskId || (inner(body).status && inner(body).id);
const contextIdOf = (body) => inner(body).contextId;
const carriesMessage = (body) => Boolean(inner(body).status?.message);

const plan = JSON.parse(await readAll(process.stdin));
// How this SDK is told which of the card's bindings to use: it is given no other.
const TRANSPORTS = {
  jsonrpc: async () => new JsonRpcTransportFactory(),
  http: async () => new RestTransportFactory(),
  grpc: async () => new (await import('@a2a-js/sdk/client/grpc')).GrpcTransportFactory(),
};
const clients = {};
for (const binding of new Set(plan.cells.map((spec) => spec.binding))) {
  const factory = new ClientFactory({ transports: [await TRANSPORTS[binding]()] });
  // One binding that is not to be had must not hide the others: its cells fail when they ask for it.
  clients[binding] = factory.createFromUrl(plan.base);
  await clients[binding].catch(() => {});
}

/** What a single send answers with is a bare Task or Message: told apart by the message's id. */
function answerJSON(answer) {
  const payload = 'messageId' in answer ? { $case: 'message', value: answer } : { $case: 'task', value: answer };
  return StreamResponse.toJSON({ payload });
}

function sendRequest(text, { taskId, contextId, wait = true, hook } = {}) {
  return SendMessageRequest.fromJSON({
    message: { messageId: crypto.randomUUID(), role: 'ROLE_USER', parts: [{ text }], taskId, contextId },
    configuration: { returnImmediately: !wait, taskPushNotificationConfig: hook },
  });
}

const hooks = new Map(); // path -> { heard, news }
const receiver = createServer(async (request, response) => {
  const body = await readAll(request);
  const hook = hooks.get(request.url);
  if (hook) {
    const item = {
      via: 'webhook',
      token: request.headers['x-a2a-notification-token'] ?? null,
      type: request.headers['content-type'],
    };
    try {
      item.body = StreamResponse.toJSON(StreamResponse.fromJSON(JSON.parse(body)));
    } catch (error) {
      item.body = {};
      item.problem = `${error}; body ${body.slice(0, 300)}`;
    }
    hook.heard.push(item);
    hook.news();
  }
  response.writeHead(hook ? 200 : 404).end();
});
receiver.listen(0, '127.0.0.1');
await once(receiver, 'listening');

class Cell {
  heard = [];
  error = null;

  constructor(spec) {
    this.spec = spec;
    this.name = spec.id;
    this.scenario = spec.scenario;
    this.followUp = FOLLOW_UPS[spec.scenario];
    this.key = spec.id.replaceAll('/', '-');
    this.abort = new AbortController();
  }
  async send(text, options) {
    return answerJSON(await this.client.sendMessage(sendRequest(text, options)));
  }
  async getTask(id) {
    return Task.toJSON(await this.client.getTask({ id, tenant: '' }));
  }
  async cancelTask(id) {
    return Task.toJSON(await this.client.cancelTask({ id, tenant: '', metadata: undefined }));
  }
  get gated() {
    return `${this.scenario} gate=${this.key}`;
  }
  async openGate() {
    // A connection of its own: one that is kept meets the worker's close of idle connections now and then.
    const gate = request(`${plan.gates}/gate/${this.key}`, { method: 'POST', agent: false });
    gate.end();
    const [answer] = await once(gate, 'response');
    answer.resume();
  }
  hear(via, body) {
    const at = (performance.now() - this.started) / 1000; // seconds since the cell began
    this.heard.push({ via, body, at });
    return body;
  }
  ids() {
    const ids = {};
    for (const { body } of this.heard) {
      ids.taskId = taskIdOf(body) || ids.taskId;
      ids.contextId = contextIdOf(body) || ids.contextId;
    }
    return ids;
  }
  hook() {
    const path = `/hook/${this.name}`;
    hooks.set(path, { heard: this.heard, news: () => this.news?.() });
    return { url: `http://127.0.0.1:${receiver.address().port}${path}`, token: `token-${this.name}` };
  }
  async webhook(reached) {
    for (;;) {
      const hooks = this.heard.filter(({ via }) => via === 'webhook');
      if (hooks.some(({ problem }) => problem)) throw new Error("a webhook's body is not what this version sends");
      if (hooks.some(({ body }) => reached(body))) return;
      await new Promise((resolve) => (this.news = resolve));
    }
  }
  async *stream(text, options) {
    const { signal } = this.abort;
    for await (const event of this.client.sendMessageStream(sendRequest(text, options), { signal })) {
      yield StreamResponse.toJSON(event);
    }
  }
}

async function pollUntil(cell, taskId, reached) {
  while (!reached(cell.hear('answer', await cell.getTask(taskId)))) {
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
  }
}

const MODES = {
  async blocking(cell) {
    const answer = cell.hear('answer', await cell.send(cell.scenario));
    if (PAUSED.has(stateOf(answer))) cell.hear('answer', await cell.send(cell.followUp, cell.ids()));
  },
  async poll(cell) {
    const taskId = taskIdOf(cell.hear('answer', await cell.send(cell.gated, { wait: false })));
    await cell.openGate();
    await pollUntil(cell, taskId, overOrPaused);
    if (cell.followUp) {
      cell.hear('answer', await cell.send(cell.followUp, { ...cell.ids(), wait: false }));
      await pollUntil(cell, taskId, over);
    }
  },
  async stream(cell) {
    let canceling;
    for await (const event of cell.stream(cell.scenario)) {
      cell.hear('event', event);
      if (cell.scenario === 'cancel' && taskIdOf(event)) canceling ??= cell.cancelTask(taskIdOf(event));
    }
    if (canceling) cell.hear('cancel', await canceling);
    if (cell.followUp) {
      cell.hear('follow-up', {});
      for await (const event of cell.stream(cell.followUp, cell.ids())) cell.hear('event', event);
    }
  },
  async resubscribe(cell) {
    for await (const event of cell.stream(cell.gated)) {
      cell.hear('event', event);
      if (cell.spec.drop_after === 'event' || carriesMessage(event)) break;
    }
    cell.abort.abort(); // the SDK's own way to drop a connection
    cell.hear('dropped', {});
    let opened = false;
    for await (const event of cell.client.resubscribeTask({ id: cell.ids().taskId, tenant: '' })) {
      cell.hear('event', StreamResponse.toJSON(event));
      if (!opened) await cell.openGate();
      opened = true;
    }
  },
  async 'push-inline'(cell) {
    const answer = cell.hear('answer', await cell.send(cell.gated, { wait: false, hook: cell.hook() }));
    await cell.openGate();
    await cell.webhook(overOrPaused);
    if (cell.followUp) {
      const ids = { taskId: taskIdOf(answer), contextId: contextIdOf(answer) };
      cell.hear('answer', await cell.send(cell.followUp, { ...ids, wait: false }));
      await cell.webhook(over);
    }
  },
  async 'push-set'(cell) {
    const taskId = taskIdOf(cell.hear('answer', await cell.send(cell.gated, { wait: false })));
    const config = TaskPushNotificationConfig.fromJSON({ taskId, ...cell.hook() });
    await cell.client.createTaskPushNotificationConfig(config);
    await cell.openGate();
    await cell.webhook(over);
  },
  async cancel(cell) {
    const taskId = taskIdOf(cell.hear('answer', await cell.send(cell.scenario, { wait: false })));
    cell.hear('cancel', await cell.cancelTask(taskId));
    cell.hear('answer', await cell.getTask(taskId));
  },
};

async function run(cell) {
  const seconds = cell.spec.deadline;
  cell.started = performance.now();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${seconds} s`)), seconds * 1000);
  });
  try {
    cell.client = await clients[cell.spec.binding];
    await Promise.race([MODES[cell.spec.mode](cell), late]);
  } catch (error) {
    cell.error = `${error?.name}: ${error?.message} ${error?.cause ?? ''}`.trim();
  } finally {
    clearTimeout(timer);
    cell.abort.abort();
  }
}

const cells = plan.cells.map((spec) => new Cell(spec));
const waiting = [...cells];
await Promise.all(
  Array.from({ length: CONCURRENCY }, async () => {
    while (waiting.length) await run(waiting.shift());
  }),
);
const lines = cells.map(({ name, heard, error }) => JSON.stringify({ cell: name, heard, error }) + '\n');
// What hangs must not keep the process; what was heard must be written whole before it ends.
process.stdout.write(lines.join(''), () => process.exit(0));
