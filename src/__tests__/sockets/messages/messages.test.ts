import { connect, type Client } from '../../fixtures/sockets';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let ada: Person;
let bruno: Person;
let eve: Person;
const clients: Client[] = [];

async function connectClient(person: Person, options?: object): Promise<Client> {
  const client = await connect(server.url, person.token, options);
  clients.push(client);
  return client;
}

let flushes = 0;

/** Sends a message that all readers receive; a user who has not received an earlier one by then never will. */
async function flush(client: Client, channelId: string, listeners: Client[]): Promise<void> {
  const clientMessageId = `flush-${++flushes}`;
  const answer = await client.ask('message:send', { channelId, clientMessageId, body: 'flush' });
  expect(answer.ok).toBe(true);
  await Promise.all(
    listeners.map((listener) =>
      listener.waitForMessage(({ message }) => message.clientMessageId === clientMessageId),
    ),
  );
}

beforeAll(async () => {
  server = await startTestServer();
  ({ ada, bruno, eve } = await signUpAll(server.api, 'ada', 'bruno', 'eve'));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.close());

describe('the handshake', () => {
  test.each([
    ['no token', undefined, 'unauthenticated'],
    ['a number as token', 7, 'unauthenticated'],
    ['an empty token', '', 'unauthenticated'],
    ['an invented token', 'abc.def.ghi', 'token_invalid'],
  ])('refuses %s with a code', async (_name, token, code) => {
    await expect(connect(server.url, token as string)).rejects.toMatchObject({ data: { code } });
  });

  test('refuses the token of a session that was logged out', async () => {
    const person = await signUp(server.api);
    await server.api.post('/api/auth/logout', undefined, person.token);
    await expect(connect(server.url, person.token)).rejects.toMatchObject({
      data: { code: 'session_revoked' },
    });
  });

  test('refuses a refresh token in place of an access token', async () => {
    await expect(connect(server.url, ada.refreshToken)).rejects.toMatchObject({
      data: { code: 'token_invalid' },
    });
  });
});

describe('sending a message', () => {
  test("reaches every device of every member, the sender's own included, without joining", async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const [phone, laptop, other, outsider] = [
      await connectClient(ada),
      await connectClient(ada, { transports: ['polling'] }),
      await connectClient(bruno, { transports: ['websocket'] }),
      await connectClient(eve),
    ];
    const answer = await phone.ask('message:send', { channelId, clientMessageId: 'm1', body: 'Hello' });
    expect(answer).toEqual({
      ok: true,
      data: { message: expect.objectContaining({ body: 'Hello', seq: 1 }) },
    });
    const sent = answer.ok && answer.data.message;
    for (const listener of [phone, laptop, other]) {
      const received = await listener.waitForMessage(({ event }) => event === 'message:created');
      expect(received.message).toEqual(sent);
    }
    expect(outsider.messages).toEqual([]);
  });

  test('again after a lost acknowledgement, on another socket or over REST, changes nothing', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const [sender, listener] = [await connectClient(ada), await connectClient(bruno)];
    const input = { clientMessageId: 'lost-ack', body: 'Once' };
    const first = await sender.ask('message:send', { channelId, ...input });
    const second = await (await connectClient(ada)).ask('message:send', { channelId, ...input });
    const third = await server.api.post(`/api/channels/${channelId}/messages`, input, ada.token);
    expect(second).toEqual(first);
    expect(third.status).toBe(200);
    expect(first.ok && first.data.message).toEqual(third.body.message);
    await flush(sender, channelId, [listener]);
    expect(listener.messages.filter(({ message }) => message.clientMessageId === 'lost-ack')).toHaveLength(1);
    const { body } = await server.api.get(`/api/channels/${channelId}`, ada.token);
    expect(body.channel).toMatchObject({ seq: 2, revision: 2 });
  });

  test('from many sockets at once creates one', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const sockets = await Promise.all(Array.from({ length: 8 }, () => connectClient(ada)));
    const input = { channelId, clientMessageId: 'double-click', body: 'One' };
    const answers = await Promise.all(sockets.map((socket) => socket.ask('message:send', input)));
    expect(new Set(answers.map((answer) => answer.ok && answer.data.message.id)).size).toBe(1);
    const { body } = await server.api.get(`/api/channels/${channelId}/messages`, ada.token);
    expect(body.messages).toHaveLength(1);
  });

  test('with a different text but a used clientMessageId is refused, not ignored', async () => {
    const { channelId } = await createRoom(server.api, ada);
    const client = await connectClient(ada);
    await client.ask('message:send', { channelId, clientMessageId: 'reused', body: 'First' });
    const answer = await client.ask('message:send', { channelId, clientMessageId: 'reused', body: 'Second' });
    expect(answer).toMatchObject({ ok: false, error: { code: 'client_message_id_reused' } });
  });

  test('reaches all in one order, which is the order of seq and of each sender', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const [a, b] = [await connectClient(ada), await connectClient(bruno)];
    const count = 60;
    const send = (client: Client, name: string) =>
      Array.from({ length: count }, (_, index) =>
        client.ask('message:send', { channelId, clientMessageId: `${name}-${index}`, body: String(index) }),
      );
    await Promise.all([...send(a, 'order-a'), ...send(b, 'order-b')]);
    await flush(a, channelId, [a, b]);
    for (const { messages: received } of [a, b]) {
      expect(received.map(({ message }) => message.seq)).toEqual(
        Array.from({ length: 2 * count + 1 }, (_, index) => index + 1),
      );
      expect(received.map(({ message }) => message.revision)).toEqual(
        received.map(({ message }) => message.seq),
      );
    }
    const bySender = (prefix: string) =>
      a.messages
        .filter(({ message }) => message.clientMessageId.startsWith(prefix))
        .map(({ message }) => Number(message.body));
    const inOrder = Array.from({ length: count }, (_, index) => index);
    expect(bySender('order-a')).toEqual(inOrder);
    expect(bySender('order-b')).toEqual(inOrder);
  });

  test('over REST, editing and deleting it, reaches sockets', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const listener = await connectClient(bruno);
    const path = `/api/channels/${channelId}/messages`;
    const { body } = await server.api.post(path, { clientMessageId: 'rest', body: 'One' }, ada.token);
    const id: string = body.message.id;
    await server.api.patch(`/api/messages/${id}`, { body: 'Two' }, ada.token);
    await server.api.delete(`/api/messages/${id}`, ada.token);
    await listener.waitForMessage(({ event }) => event === 'message:deleted');
    expect(listener.messages.map(({ event, message }) => [event, message.body, message.revision])).toEqual([
      ['message:created', 'One', 1],
      ['message:updated', 'Two', 2],
      ['message:deleted', '', 3],
    ]);
  });
});

describe('editing and deleting', () => {
  test('are acknowledged with the current message', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const client = await connectClient(ada);
    const sent = await client.ask('message:send', { channelId, clientMessageId: 'e1', body: 'Draft' });
    const messageId = sent.ok ? sent.data.message.id : '';
    const edited = await client.ask('message:edit', { messageId, body: 'Final' });
    expect(edited).toMatchObject({
      ok: true,
      data: { message: { body: 'Final', revision: 2, deletedAt: null } },
    });
    const deleted = await client.ask('message:delete', { messageId });
    expect(deleted).toMatchObject({ ok: true, data: { message: { body: '', revision: 3, seq: 1 } } });
    const again = await client.ask('message:edit', { messageId, body: 'Too late' });
    expect(again).toMatchObject({ ok: false, error: { code: 'message_deleted' } });
  });

  test('are refused to others over sockets with the same code as over REST', async () => {
    const { channelId } = await createRoom(server.api, ada, [bruno]);
    const [author, member, outsider] = [
      await connectClient(ada),
      await connectClient(bruno),
      await connectClient(eve),
    ];
    const sent = await author.ask('message:send', { channelId, clientMessageId: 'p6', body: 'Mine' });
    const messageId = sent.ok ? sent.data.message.id : '';
    for (const [client, person, code] of [
      [member, bruno, 'forbidden'],
      [outsider, eve, 'not_found'],
    ] as const) {
      const overSocket = await client.ask('message:edit', { messageId, body: 'Theirs' });
      const overRest = await server.api.patch(`/api/messages/${messageId}`, { body: 'Theirs' }, person.token);
      expect(overSocket).toMatchObject({ ok: false, error: { code } });
      expect(overRest.body.error.code).toBe(code);
      const deletion = await client.ask('message:delete', { messageId });
      expect(deletion).toMatchObject({ ok: false, error: { code } });
    }
    const send = { channelId, clientMessageId: 'outside', body: 'Let me in' };
    expect(await outsider.ask('message:send', send)).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
  });
});
