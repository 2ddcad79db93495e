// llm.mjs - stands in for the providers of language models: Anthropic Messages and OpenAI Responses
//
// Answers as JSON or server-sent events, demands the API key, and does what the newest user text says:
//   @@tool NAME {json}@@    calls the tool, if it was offered; when its result comes back, says "tool said: ..."
//   @@say TEXT@@            @@status 429@@    @@usage IN OUT@@
//   @@slow MS@@             waits before each event             @@cut@@   the connection ends in mid-stream
//   @@tools@@               says which tools were offered       @@encode gzip|br|zstd@@   whatever was asked for
//                           (zstd, here and in requests: Node 24 alone)
//   @@whole@@               the text in one event, where it would be in pieces of eight
// Claude Code: x @@tool Bash {"command":"id"}@@
// Codex 0.169: x @@tool exec {"input":"const r = await tools.exec_command({cmd:\"id\"}); text(r.output)"}@@
// Anything else is answered "pong from the stand-in". Start a prompt with a word: some clients read a leading @ as a file.
import { randomBytes } from 'node:crypto';
import zlib from 'node:zlib';
import { json, sleep, tokenOf } from './serve.mjs';
import { accept } from './websocket.mjs';

const MODELS = ['claude-sonnet-4-5', 'claude-opus-4-5', 'claude-haiku-4-5', 'gpt-5', 'gpt-5-codex'];
const CACHED_TOKENS = 7;
const model = id => ({ id, type: 'model', object: 'model', display_name: id, created: 1,
  created_at: '2026-01-01T00:00:00Z', owned_by: 'world' });
const newId = prefix => prefix + randomBytes(9).toString('hex');
const pieces = (text, whole) => whole ? [text] : text.match(/[\s\S]{1,8}/g) ?? [];

const ERROR_TYPES = { 400: 'invalid_request_error', 401: 'authentication_error', 403: 'permission_error',
  404: 'not_found_error', 429: 'rate_limit_error', 529: 'overloaded_error' };
const errorOf = (status, message) =>
  ({ type: 'error', error: { type: ERROR_TYPES[status] ?? 'api_error', message, code: null } });

/** All text of a message's content, whatever its shape. */
function textOf(content) {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return content.map(part => textOf(part.text ?? part.content ?? part.output ?? '')).join('\n');
  return content?.output ?? '';
}

function parseLenient(text) {
  // some clients escape the quotes of their prompt
  try { return JSON.parse(text); } catch { return JSON.parse(text.replace(/\\"/g, '"')); }
}

/** What to answer. `items`: the conversation in order, each {user, tool, text}. */
function plan(items, toolNames, request) {
  const last = items.at(-1) ?? {};
  const prompts = items.filter(item => item.user && !item.tool).map(item => item.text).join('\n');
  const newest = pattern => [...prompts.matchAll(pattern)].at(-1);
  const tool = newest(/@@tool (\S+) (\{.*?\})@@/gs);
  const usage = newest(/@@usage (\d+) (\d+)@@/g);
  const answer = {
    status: Number(newest(/@@status (\d+)@@/g)?.[1] ?? 200),
    slow: Number(newest(/@@slow (\d+)@@/g)?.[1] ?? 0),
    cut: prompts.includes('@@cut@@'),
    text: newest(/@@say (.*?)@@/gs)?.[1] ?? 'pong from the stand-in',
  };

  answer.whole = prompts.includes('@@whole@@');
  answer.encode = newest(/@@encode (gzip|br|zstd)@@/g)?.[1];
  if (prompts.includes('@@tools@@')) answer.text = toolNames.join(' ');
  if (last.tool) answer.text = 'tool said: ' + last.text.slice(0, 2000);
  else if (tool && toolNames.includes(tool[1])) answer.tool = { name: tool[1], input: parseLenient(tool[2]) };
  answer.inputTokens = usage ? Number(usage[1]) : Math.ceil(JSON.stringify(request).length / 4);
  answer.outputTokens = usage ? Number(usage[2]) : Math.ceil(answer.text.length / 4) + 1;
  return answer;
}

/** What is written goes out compressed, each piece at once; the answer's end ends it. */
function encoded(response, coding) {
  const z = { br: zlib.createBrotliCompress, gzip: zlib.createGzip, zstd: zlib.createZstdCompress }[coding]();
  const end = response.end.bind(response);

  z.on('data', data => response.write(data)).on('end', end);
  response.end = () => z.end();
  return text => { z.write(text); z.flush(); };
}

/** A stream of events; returns a function that sends one. */
function eventStream(response, answer) {
  if (response.send) return async event => {	// a WebSocket: each event is a message
    await sleep(answer.slow);
    response.send(JSON.stringify(event));
  };
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', 'request-id': newId('req_'),
    ...(answer.encode && { 'content-encoding': answer.encode }) });
  const write = answer.encode ? encoded(response, answer.encode) : text => response.write(text);

  return async event => {
    await sleep(answer.slow);
    write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  };
}

// --- Anthropic Messages ---

function isToolResult(message) {
  return Array.isArray(message.content) && message.content.some(part => part.type === 'tool_result');
}

async function messages(request, response) {
  const items = (request.messages ?? []).map(message => (
    { user: message.role === 'user', tool: isToolResult(message), text: textOf(message.content) }));
  const answer = plan(items, (request.tools ?? []).map(tool => tool.name), request);

  if (answer.status >= 400) return json(response, answer.status, errorOf(answer.status, 'asked for'));
  const block = answer.tool ?
    { type: 'tool_use', id: newId('toolu_'), ...answer.tool } : { type: 'text', text: answer.text };
  const usage = { input_tokens: answer.inputTokens, cache_creation_input_tokens: 11, cache_read_input_tokens: CACHED_TOKENS,
    output_tokens: answer.outputTokens, service_tier: 'standard' };
  const message = { id: newId('msg_'), type: 'message', role: 'assistant', model: request.model, content: [block],
    stop_reason: answer.tool ? 'tool_use' : 'end_turn', stop_sequence: null, usage };

  if (!request.stream) return json(response, 200, message);
  const send = eventStream(response, answer);

  await send({ type: 'message_start', message: {
    ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } } });
  await send({ type: 'content_block_start', index: 0, content_block: {
    ...block, ...(answer.tool ? { input: {} } : { text: '' }) } });
  await send({ type: 'ping' });
  for (const piece of pieces(answer.tool ? JSON.stringify(answer.tool.input) : answer.text, answer.whole)) {
    const delta = answer.tool ? { type: 'input_json_delta', partial_json: piece } : { type: 'text_delta', text: piece };

    await send({ type: 'content_block_delta', index: 0, delta });
  }
  if (answer.cut) return response.destroy();
  await send({ type: 'content_block_stop', index: 0 });
  await send({ type: 'message_delta', delta: { stop_reason: message.stop_reason, stop_sequence: null },
    usage: { output_tokens: answer.outputTokens } });
  await send({ type: 'message_stop' });
  return response.end();
}

// --- OpenAI Responses ---

/** Every tool that is offered, also in groups and by an item of the input (as Codex does): {name, type, group}. */
function offeredTools(request, input) {
  const offers = [...(request.tools ?? []), ...input.flatMap(item => item.type === 'additional_tools' ? item.tools : [])];
  const named = (tool, group) => ({ name: tool.name ?? tool.type, type: tool.type, group });

  return offers.flatMap(tool => (
    tool.type === 'namespace' ? (tool.tools ?? []).map(inner => named(inner, tool.name)) : [named(tool)]));
}

function responseItem(tools, answer) {
  const call = answer.tool && { id: newId('fc_'), call_id: newId('call_'), name: answer.tool.name, status: 'completed' };

  if (!call) return { type: 'message', id: newId('msg_'), role: 'assistant', status: 'completed',
    content: [{ type: 'output_text', text: answer.text, annotations: [] }] };
  const { type, group } = tools.find(tool => tool.name === call.name);
  const grouped = group ? { namespace: group } : {};

  if (type === 'custom') return { type: 'custom_tool_call', ...call, ...grouped, input: answer.tool.input.input ?? '' };
  return { type: 'function_call', ...call, ...grouped, arguments: JSON.stringify(answer.tool.input) };
}

async function streamItem(send, item, answer) {
  const place = { item_id: item.id, output_index: 0 };

  await send('response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress',
    ...(item.content && { content: [] }), ...(item.arguments && { arguments: '' }) } });
  if (item.content) {
    const part = { ...place, content_index: 0 };

    await send('response.content_part.added', { ...part, part: { type: 'output_text', text: '', annotations: [] } });
    for (const piece of pieces(answer.text)) await send('response.output_text.delta', { ...part, delta: piece });
    if (answer.cut) return false;
    await send('response.output_text.done', { ...part, text: answer.text });
    await send('response.content_part.done', { ...part, part: item.content[0] });
  } else if (item.arguments) {
    await send('response.function_call_arguments.delta', { ...place, delta: item.arguments });
    await send('response.function_call_arguments.done', { ...place, arguments: item.arguments });
  }
  await send('response.output_item.done', { output_index: 0, item });
  return true;
}

async function responses(request, response) {
  const input = typeof request.input === 'string' ? [{ role: 'user', content: request.input }] : request.input ?? [];
  const items = input.map(item => (
    { user: item.role === 'user', tool: /_output$/.test(item.type ?? ''),
      text: textOf(item.content ?? item.output ?? '') }));
  const tools = offeredTools(request, input);
  const answer = plan(items, tools.map(tool => tool.name), request);

  if (answer.status >= 400 && response.send)
    return response.send(JSON.stringify({ type: 'error', status: answer.status, ...errorOf(answer.status, 'asked for') }));
  if (answer.status >= 400) return json(response, answer.status, errorOf(answer.status, 'asked for'));
  const item = responseItem(tools, answer);
  const usage = { input_tokens: answer.inputTokens, input_tokens_details: { cached_tokens: CACHED_TOKENS },
    output_tokens: answer.outputTokens, output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: answer.inputTokens + answer.outputTokens };
  const whole = { id: newId('resp_'), object: 'response', created_at: Math.floor(Date.now() / 1000), status: 'completed',
    model: request.model, output: [item], error: null, incomplete_details: null, parallel_tool_calls: true,
    tool_choice: 'auto', tools: [], usage };

  if (!request.stream) return json(response, 200, whole);
  const sendEvent = eventStream(response, answer);
  let number = 0;
  const send = (type, fields) => sendEvent({ type, sequence_number: number++, ...fields });
  const begun = { ...whole, status: 'in_progress', output: [], usage: null };

  await send('response.created', { response: begun });
  if (request.generate === false) {	// a client that only warms up
    await send('response.completed', { response: { ...whole, output: [] } });
    return response.end();
  }
  await send('response.in_progress', { response: begun });
  if (!await streamItem(send, item, answer)) return response.destroy();
  await send('response.completed', { response: whole });
  return response.end();
}

// --- the server ---

function parse(request, body) {
  const decode = { gzip: zlib.gunzipSync, zstd: zlib.zstdDecompressSync }[request.headers['content-encoding']];
  const plain = decode ? decode(body) : body;

  try { return JSON.parse(plain.toString() || '{}'); } catch { return null; }
}

/** OpenAI Responses over a WebSocket: each message a request; the answer's events are messages. */
export function llmSocket(keys) {
  return (request, socket, head) => {
    const { pathname } = new URL(request.url, 'https://llm.example.test');

    if (tokenOf(request, 'bearer') !== keys.openai || !pathname.endsWith('/responses')) return false;
    accept(request, socket, head, (text, send) => {
      const response = { send, end() {}, destroy: () => socket.destroy() };

      responses({ ...JSON.parse(text), stream: true }, response).catch(() => socket.destroy());
    });
    return true;
  };
}

/** What Codex asks of a login before anything else: where its account lives. */
const account = id => ({ accounts: [{ id, name: 'Ann', structure: 'personal', plan_type: 'pro', is_deactivated: false,
  can_access_with_session: true, sso_connection_name: null, is_fedramp_compliant_workspace: false, profile_picture_url: null,
  workspace_backend_origin: 'https://chatgpt.com', account_routing_override: 'NO_CONSTRAINT' }],
default_account_id: id, account_ordering: [id] });

const keyOf = (keys, host = '') =>
  host.startsWith('api.openai.com') ? keys.openai : host.startsWith('chatgpt.com') ? keys.chatgpt : keys.anthropic;

/** `keys`: {anthropic, openai, chatgpt}; which is demanded depends on the name that was asked. */
export function llm(keys) {
  return async (request, response, body) => {
    const { pathname } = new URL(request.url, 'https://llm.example.test');
    const key = request.headers['x-api-key'] ?? tokenOf(request, 'bearer');
    const parsed = parse(request, body);
    const refuse = (status, message) => json(response, status, errorOf(status, message), { 'request-id': newId('req_') });

    if (request.method === 'HEAD') return response.writeHead(200).end();
    if (key !== keyOf(keys, request.headers.host)) return refuse(401, 'invalid API key');
    if (!parsed) return refuse(400, 'no JSON');
    if (pathname.endsWith('/responses') && request.method === 'POST') return responses(parsed, response);
    if (pathname.endsWith('/messages') && request.method === 'POST') return messages(parsed, response);
    if (pathname.endsWith('/messages/count_tokens'))
      return json(response, 200, { input_tokens: Math.ceil(body.length / 4) });
    if (pathname.endsWith('/models'))
      return json(response, 200, { object: 'list', has_more: false, models: [], data: MODELS.map(model) });
    if (pathname.endsWith('/wham/accounts/check')) return json(response, 200, account(request.headers['chatgpt-account-id']));
    return refuse(404, `the stand-in has nothing at ${pathname}`);
  };
}
