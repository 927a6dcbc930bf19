import { ObjectId } from 'mongodb';
import { NOTIFICATION_KINDS } from '../../../models/notifications/notification.model';
import { refused } from '../../fixtures/accounts';
import { signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

let server: TestServer;
let ada: Person;
let bruno: Person;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startTestServer();
});
beforeEach(async () => {
  ({ ada, bruno } = await signUpAll(server.api, 'ada', 'bruno'));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.close());

const PATH = '/api/client/notifications';
const list = (query = {}, by = ada) => server.api.get(PATH, by.token, query);
const read = (id: string, by = ada) => server.api.post(`${PATH}/${id}/read`, undefined, by.token);
const readAll = (query = '', by = ada) => server.api.post(`${PATH}/read-all${query}`, undefined, by.token);

/** Creates notifications for Ada, in this order. @returns the ids. */
async function notify(...texts: string[]): Promise<string[]> {
  for (const text of texts) {
    await server.context.services.notifications.notify([new ObjectId(ada.id)], {
      kind: 'warning',
      actorId: null,
      text,
    });
  }
  const { body } = await list({ limit: texts.length });
  return body.notifications.map(({ id }: { id: string }) => id).reverse();
}

async function devices(): Promise<[Client, Client]> {
  clients.push(await connect(server.url, ada.token), await connect(server.url, ada.token));
  return [clients.at(-2)!, clients.at(-1)!];
}

const next = (client: Client, event: 'notification:created' | 'notification:read' | 'notification:deleted') =>
  new Promise<any>((resolve) => client.socket.once(event, resolve));

describe('a notification about an action of a blocked user', () => {
  /** The kinds whose texts are written by the server. */
  const WHOLE = ['group.role_changed', 'scheduled_message.failed', 'report.received', 'report.resolved'];

  it.each(NOTIFICATION_KINDS)("of the kind %s contains none of the blocked user's texts", async (kind) => {
    const received = (await devices())[0].events;
    const notify = (text: string) =>
      server.context.services.notifications.notify([new ObjectId(ada.id)], {
        kind,
        actorId: new ObjectId(bruno.id),
        groupId: new ObjectId(),
        text,
      });
    await notify('before');
    await server.api.call('put', `/api/users/me/blocks/${bruno.id}`, { token: ada.token });
    await notify('Xyzzy');
    const { body } = await list();
    expect(body.notifications.at(-1)).toMatchObject({ kind, text: 'before' });
    if (WHOLE.includes(kind)) {
      expect(body.notifications[0]).toMatchObject({ kind, text: 'Xyzzy' });
      return;
    }
    expect(JSON.stringify([received, body.notifications])).not.toContain('Xyzzy');
    if (body.notifications.length > 1) expect(body.notifications[0]).toMatchObject({ kind, actorId: null });
  });
});

describe('notifications', () => {
  it('reach every device, and are listed for the recipient', async () => {
    const received = (await devices()).map((client) => next(client, 'notification:created'));
    const [id] = await notify('Mind your language');
    const expected = { notification: { id, kind: 'warning', text: 'Mind your language' }, unread: 1 };
    expect(await Promise.all(received)).toMatchObject([expected, expected]);
    const { body } = await list();
    expect(body).toMatchObject({ notifications: [{ id, readAt: null }], nextCursor: null, unread: 1 });
    expect((await list({}, bruno)).body).toEqual({ notifications: [], nextCursor: null, unread: 0 });
  });

  it('are listed newest first, page by page, and only unread ones if requested', async () => {
    const ids = await notify('1', '2', '3', '4', '5');
    await read(ids[1]!);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const { body }: any = await list({ limit: 2, ...(cursor && { cursor }) });
      seen.push(...body.notifications.map(({ text }: { text: string }) => text));
      expect(body.unread).toBe(4);
      cursor = body.nextCursor;
    } while (cursor);
    expect(seen).toEqual(['5', '4', '3', '2', '1']);
    const unread = (await list({ unread: 'true', limit: 3 })).body;
    expect(unread.notifications.map(({ text }: { text: string }) => text)).toEqual(['5', '4', '3']);
    const rest = (await list({ unread: 'true', limit: 3, cursor: unread.nextCursor })).body;
    expect(rest).toMatchObject({ notifications: [{ text: '1' }], nextCursor: null });
  });

  it('are marked as read on all devices', async () => {
    const ids = await notify('1', '2');
    const received = (await devices()).map((client) => next(client, 'notification:read'));
    const first = await read(ids[0]!);
    expect(first.body).toMatchObject({ notification: { id: ids[0] }, unread: 1 });
    const event = { notificationId: ids[0], upTo: null, unread: 1 };
    expect(await Promise.all(received)).toEqual([event, event]);
    expect((await read(ids[0]!)).body).toEqual(first.body);
  });

  it('are marked as read together, except those newer than what the user has seen', async () => {
    const ids = await notify('1', '2', '3');
    const [phone] = await devices();
    let received = next(phone, 'notification:read');
    expect((await readAll(`?upTo=${ids[1]}`)).body).toEqual({ unread: 1 });
    expect(await received).toEqual({ notificationId: null, upTo: ids[1], unread: 1 });
    received = next(phone, 'notification:read');
    expect((await readAll()).body).toEqual({ unread: 0 });
    expect(await received).toEqual({ notificationId: null, upTo: null, unread: 0 });
  });

  it('are deleted on all devices', async () => {
    const ids = await notify('1', '2');
    const [phone] = await devices();
    const received = next(phone, 'notification:deleted');
    expect((await server.api.delete(`${PATH}/${ids[0]}`, ada.token)).status).toBe(204);
    expect(await received).toEqual({ notificationId: ids[0], unread: 1 });
    expect((await list()).body.notifications).toMatchObject([{ id: ids[1] }]);
    expect(await server.api.delete(`${PATH}/${ids[0]}`, ada.token)).toMatchObject(refused(404, 'not_found'));
  });

  it('cannot be read, marked or deleted by other users', async () => {
    const [id] = await notify('1');
    expect(await read(id!, bruno)).toMatchObject(refused(404, 'not_found'));
    expect(await server.api.delete(`${PATH}/${id}`, bruno.token)).toMatchObject(refused(404, 'not_found'));
    await readAll('', bruno);
    expect((await list()).body).toMatchObject({ notifications: [{ id, readAt: null }], unread: 1 });
  });
});
