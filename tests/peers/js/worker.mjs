// A real @a2a-js/sdk 1.x server (protocol 1.0 only) over one binding, as it comes or restricted to one mode.
//
// The script is ../scenarios.json, as for the Python workers. Over JSON-RPC the restriction wraps the SDK's handler from
// outside: what the worker does not offer reaches the SDK under an unknown name, so the refusal is the SDK's own. Over
// HTTP+JSON and gRPC it is `limited`, around the SDK's request handler, and the SDK's binding says what that refuses.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs, promisify } from 'node:util';
import express from 'express';
import { AgentCard, Artifact, Message, Task, taskStateFromJSON } from '@a2a-js/sdk';
import {
  AgentEvent,
  DefaultPushNotificationSender,
  DefaultRequestHandler,
  InMemoryPushNotificationStore,
  InMemoryTaskStore,
} from '@a2a-js/sdk/server';
import { UnsupportedOperationError } from '@a2a-js/sdk/errors';
import { UserBuilder, agentCardHandler, jsonRpcHandler, restHandler } from '@a2a-js/sdk/server/express';

const SCENARIOS = JSON.parse(readFileSync(new URL('../scenarios.json', import.meta.url), 'utf8'));
// A task that nobody cancels ends by itself (milliseconds), as does a gate that nobody opens.
const CANCEL_PATIENCE = 60_000;
const GATE_PATIENCE = 120_000;

const OFFERED = {
  blocking: ['SendMessage'],
  poll: ['SendMessage', 'GetTask', 'ListTasks'],
  stream: ['SendStreamingMessage', 'SubscribeToTask', 'GetTask', 'ListTasks'],
  push: [
    'SendMessage',
    'GetTask',
    'ListTasks',
    'CreateTaskPushNotificationConfig',
    'GetTaskPushNotificationConfig',
    'ListTaskPushNotificationConfigs',
    'DeleteTaskPushNotificationConfig',
  ],
};
const ALWAYS = ['CancelTask'];
OFFERED.any = [...new Set(Object.values(OFFERED).flat())]; // a worker as it comes

// The methods of the SDK's request handler behind the operations.
const METHODS = {
  SendMessage: 'sendMessage',
  SendStreamingMessage: 'sendMessageStream',
  SubscribeToTask: 'resubscribe',
  GetTask: 'getTask',
  ListTasks: 'listTasks',
  CreateTaskPushNotificationConfig: 'createTaskPushNotificationConfig',
  GetTaskPushNotificationConfig: 'getTaskPushNotificationConfig',
  ListTaskPushNotificationConfigs: 'listTaskPushNotificationConfigs',
  DeleteTaskPushNotificationConfig: 'deleteTaskPushNotificationConfig',
};

/** A thing that happens once and can be waited for, within a bound; tells whether it happened. */
class Latch {
  constructor() {
    this.promise = new Promise((resolve) => (this.open = () => resolve(true)));
  }
  within(milliseconds) {
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, milliseconds, false)));
    return Promise.race([this.promise, late]).finally(() => clearTimeout(timer));
  }
}

const latches = new Map();
function latch(name) {
  if (!latches.has(name)) latches.set(name, new Latch());
  return latches.get(name);
}

function part(spec) {
  const { text, bytes, url, data, media, name } = spec;
  const content = bytes !== undefined ? { raw: bytes } : url !== undefined ? { url } : data !== undefined ? { data } : { text };
  return { ...content, ...(media && { mediaType: media }), ...(name && { filename: name }) };
}

function message(ids, text, more = []) {
  const parts = [{ text }, ...more.map(part)];
  return Message.fromJSON({ messageId: crypto.randomUUID(), role: 'ROLE_AGENT', parts, ...ids });
}

function publishStatus(bus, ids, state, text, parts) {
  const status = {
    state: taskStateFromJSON(`TASK_STATE_${state.toUpperCase().replaceAll('-', '_')}`),
    message: message(ids, text, parts),
    timestamp: new Date().toISOString(),
  };
  bus.publish(AgentEvent.statusUpdate({ ...ids, status, metadata: undefined }));
}

class Agent {
  tasks = new Map(); // task id -> { name, played, key, ids }

  execute = async (context, bus) => {
    const { taskId, contextId, task } = context;
    const ids = { taskId, contextId };
    if (!this.tasks.has(taskId)) {
      const words = context.userMessage.parts[0].content.value.split(' ');
      const key = words.find((word) => word.startsWith('gate='))?.slice('gate='.length);
      this.tasks.set(taskId, { name: words[0], played: 0, key, ids });
    }
    const turn = this.tasks.get(taskId);
    const steps = SCENARIOS[turn.name][turn.played++];
    if (steps[0].message === undefined) {
      // This SDK wants a Task first in every turn.
      const first = Task.fromJSON({ id: taskId, contextId, status: { state: 'TASK_STATE_SUBMITTED' } });
      bus.publish(AgentEvent.task(task ?? { ...first, history: [context.userMessage] }));
    }
    for (const step of steps) {
      if (step.status) {
        publishStatus(bus, ids, step.status, step.text, step.parts);
      } else if (step.artifact) {
        const { id, name, parts, append, last } = step.artifact;
        const artifact = Artifact.fromJSON({ artifactId: id, name, parts: parts.map(part) });
        bus.publish(AgentEvent.artifactUpdate({ ...ids, artifact, append, lastChunk: last, metadata: undefined }));
      } else if (step.message) {
        bus.publish(AgentEvent.message(message({ contextId }, step.message)));
      } else if (step.pause_ms) {
        await new Promise((resolve) => setTimeout(resolve, step.pause_ms));
      } else if (step.gate) {
        if (turn.key) await latch(`gate ${turn.key}`).within(GATE_PATIENCE);
      } else if (step.until_cancelled) {
        if (await latch(`cancel ${taskId}`).within(CANCEL_PATIENCE)) return; // cancelTask publishes the end
      } else {
        throw new Error(`unknown step ${JSON.stringify(step)}`);
      }
    }
  };

  cancelTask = async (taskId, bus) => {
    publishStatus(bus, this.tasks.get(taskId).ids, 'canceled', 'cancel: stopped');
    latch(`cancel ${taskId}`).open();
  };
}

/** Leaves the SDK's request handler only `mode`, whatever the binding before it. */
function limited(handler, mode) {
  if (mode === 'any') return handler;
  for (const [operation, method] of Object.entries(METHODS)) {
    if (!OFFERED[mode].includes(operation)) {
      const refuse = () => {
        throw new UnsupportedOperationError(`${operation} is not offered`);
      };
      const streams = ['sendMessageStream', 'resubscribe'].includes(method);
      handler[method] = streams ? async function* () { yield refuse(); } : async () => refuse();
    }
  }
  if (OFFERED[mode].includes('SendMessage')) {
    const send = handler.sendMessage.bind(handler);
    handler.sendMessage = (params, context) => {
      const configuration = { ...params.configuration, returnImmediately: mode !== 'blocking' };
      return send({ ...params, configuration }, context);
    };
  }
  return handler;
}

/** Leaves a JSON-RPC worker only `mode`: refuses the other modes' methods, and makes every send wait or not. */
function restrict(mode) {
  const allowed = new Set([...OFFERED[mode], ...ALWAYS]);
  return (request, _response, next) => {
    const call = request.body;
    if (request.method === 'POST' && call?.method) {
      if (!allowed.has(call.method)) {
        call.method = `refused/${call.method}`;
      } else if (call.method === 'SendMessage' && call.params && mode !== 'any') {
        call.params.configuration = { ...call.params.configuration, returnImmediately: mode !== 'blocking' };
      }
    }
    next();
  };
}

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    restrict: { type: 'string' },
    binding: { type: 'string', default: 'jsonrpc' },
  },
});
const { restrict: mode, binding } = values;
if (!(mode in OFFERED)) throw new Error(`--restrict must be one of ${Object.keys(OFFERED)}`);

const app = express();
const server = createServer(app);
server.listen(Number(values.port), '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${server.address().port}`;

let grpc, grpcServer, grpcAddress;
if (binding === 'grpc') {
  grpc = await import('@grpc/grpc-js');
  grpcServer = new grpc.Server();
  const bound = promisify(grpcServer.bindAsync.bind(grpcServer));
  grpcAddress = `127.0.0.1:${await bound('127.0.0.1:0', grpc.ServerCredentials.createInsecure())}`;
}
const INTERFACES = {
  jsonrpc: { url: `${url}/`, protocolBinding: 'JSONRPC' },
  http: { url, protocolBinding: 'HTTP+JSON' },
  grpc: { url: grpcAddress, protocolBinding: 'GRPC' },
};
if (!(binding in INTERFACES)) throw new Error(`--binding must be one of ${Object.keys(INTERFACES)}`);

const pushNotifications = ['push', 'any'].includes(mode);
const card = AgentCard.fromJSON({
  name: `peer worker js-v1 over ${binding}`,
  description: 'scripted worker',
  version: '1.0.0',
  supportedInterfaces: [{ ...INTERFACES[binding], protocolVersion: '1.0' }],
  capabilities: { streaming: ['stream', 'any'].includes(mode), pushNotifications },
  defaultInputModes: ['text/plain'],
  defaultOutputModes: ['text/plain'],
  skills: [{ id: 'script', name: 'script', description: 'plays scenarios', tags: ['test'] }],
});
const configs = pushNotifications ? new InMemoryPushNotificationStore() : undefined;
const requestHandler = new DefaultRequestHandler(
  card,
  new InMemoryTaskStore(),
  new Agent(),
  undefined,
  configs,
  configs && new DefaultPushNotificationSender(configs),
);
app.post('/gate/:key', (request, response) => {
  latch(`gate ${request.params.key}`).open();
  response.status(204).end();
});
app.use('/.well-known/agent-card.json', agentCardHandler({ agentCardProvider: requestHandler }));
const userBuilder = UserBuilder.noAuthentication;
if (binding === 'jsonrpc') {
  app.use(express.json({ limit: '10mb' }), restrict(mode), jsonRpcHandler({ requestHandler, userBuilder }));
} else if (binding === 'http') {
  app.use(restHandler({ requestHandler: limited(requestHandler, mode), userBuilder }));
} else {
  const { A2AService, grpcService } = await import('@a2a-js/sdk/server/grpc');
  grpcServer.addService(A2AService, grpcService({ requestHandler: limited(requestHandler, mode), userBuilder }));
}
console.log(`READY ${url}`);
