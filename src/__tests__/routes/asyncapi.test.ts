import asyncApiSchema from '@asyncapi/specs/schemas/3.0.0-without-$id.json';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { CLIENT_EVENTS } from '../../models/kernel/client-events.model';
import { SERVER_EVENTS } from '../../models/kernel/server-events.model';
import { eventCheckOf } from '../fixtures/asyncapi';
import { startTestServer, type TestServer } from '../fixtures/server';

let server: TestServer;
let document: any;

beforeAll(async () => {
  server = await startTestServer();
  ({ body: document } = await server.api.get('/asyncapi.json'));
});
afterAll(() => server.close());

describe('the AsyncAPI document', () => {
  it('has version 3.0', () => {
    const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
    addFormats(ajv);
    const validate = ajv.compile(asyncApiSchema);
    expect([validate(document), validate.errors]).toEqual([true, null]);
    expect(validate({ ...document, channels: [] })).toBe(false);
  });

  it('describes every event in both directions, as an operation and as a message', () => {
    const keys = (events: object) => Object.keys(events).map((event) => event.replace(':', '.'));
    const by = (action: string) =>
      Object.keys(document.operations).filter((key) => document.operations[key].action === action);
    expect(by('receive').sort()).toEqual(keys(CLIENT_EVENTS).sort());
    expect(by('send').sort()).toEqual(keys(SERVER_EVENTS).sort());
    const messages = [...keys(CLIENT_EVENTS).flatMap((key) => [key, `${key}.ack`]), ...keys(SERVER_EVENTS)];
    expect(Object.keys(document.channels.socket.messages).sort()).toEqual(messages.sort());
  });

  it('has no dangling reference', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(
      ([, path]) => path!,
    );
    expect(references.length).toBeGreaterThan(50);
    for (const path of references) {
      const target = path.split('/').reduce((node: any, key) => node?.[key], document);
      expect([path, typeof target]).toEqual([path, 'object']);
    }
  });

  it('refuses events that it does not describe, so that tests of events can fail', async () => {
    const check = await eventCheckOf(server.url);
    expect(check.problemOf('auth:expiring', { expiresAt: new Date().toISOString() })).toBeUndefined();
    expect(check.problemOf('auth:expiring', { expiresAt: 'soon' })).toMatch(/expiresAt/);
    expect(check.problemOf('auth:expiring', { expiresAt: new Date().toISOString(), more: 1 })).toMatch(
      /more|additional/,
    );
    expect(check.problemOf('gossip:heard', {})).toMatch('not in the AsyncAPI document');
    expect(check.problemOf('message:delete.ack', { ok: true, data: {} })).toMatch(/message/);
  });
});
