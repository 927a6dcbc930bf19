import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectId } from 'mongodb';
import type { Attachment } from '../../../models/files/attachment.model';
import { sendMessage } from '../../fixtures/messages';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';
import { filesOf, storedFiles, upload } from '../../fixtures/uploads';

const TWO_DAYS_AGO = new Date(Date.now() - 2 * 86_400_000);

let server: TestServer;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
  ada = await signUp(server.api, 'ada');
});
afterAll(() => server.close());

const uploads = () => server.context.database.collections.uploads;
const pathOf = (folder: string, name: string) => join(server.context.config.uploadDir, folder, name);

/** Makes a stored file two days old. */
async function age(folder: string, name: string): Promise<void> {
  await utimes(pathOf(folder, name), TWO_DAYS_AGO, TWO_DAYS_AGO);
}

/** An upload of two days ago. */
async function oldUpload(): Promise<Attachment> {
  const attachment = await upload(server.api, ada, 'hello', 'note.txt');
  await uploads().updateOne({ _id: new ObjectId(attachment.id) }, { $set: { createdAt: TWO_DAYS_AGO } });
  await age('files', attachment.id);
  return attachment;
}

test('the next start deletes an upload that was not sent within a day, with its file, and no other', async () => {
  const { channelId } = await createRoom(server.api, ada);
  const [abandoned, sent] = [await oldUpload(), await oldUpload()];
  await sendMessage(server.api, channelId, ada, '', { attachmentIds: [sent.id] });
  const young = await upload(server.api, ada);
  await server.restart();
  await until(async () => (await filesOf(server, abandoned)).length === 0);
  expect(await uploads().findOne({ _id: new ObjectId(abandoned.id) })).toBeNull();
  expect(await filesOf(server, sent)).toHaveLength(1);
  expect(await filesOf(server, young)).toHaveLength(2);
  // It can still be sent.
  await sendMessage(server.api, channelId, ada, '', { attachmentIds: [young.id] });
});

test('deletes files without an upload, and uploads whose message does not exist', async () => {
  const lost = await oldUpload();
  await uploads().updateOne({ _id: new ObjectId(lost.id) }, { $set: { uses: 1 } });
  const orphan = new ObjectId().toHexString();
  const young = new ObjectId().toHexString();
  const old: [string, string][] = [
    ['images', orphan],
    ['images', `${orphan}-thumbnail`],
    ['files', new ObjectId().toHexString()],
  ];
  for (const [folder, name] of old) {
    await writeFile(pathOf(folder, name), 'x');
    await age(folder, name);
  }
  await writeFile(pathOf('files', young), 'x');
  // A file that the server did not create is left alone.
  await writeFile(pathOf('files', 'notes.txt'), 'x');
  await age('files', 'notes.txt');
  await server.restart();
  const deletedNames = [lost.id, ...old.map(([, name]) => name)];
  await until(async () => (await storedFiles(server)).every((name) => !deletedNames.includes(name)));
  expect(await uploads().findOne({ _id: new ObjectId(lost.id) })).toBeNull();
  expect(await storedFiles(server)).toEqual(expect.arrayContaining([young, 'notes.txt']));
});

test('deletes all files when the database was emptied', async () => {
  await upload(server.api, ada);
  await upload(server.api, ada, 'hello', 'note.txt');
  await server.context.services.uploadCleanup.removeAll();
  expect(await storedFiles(server)).toEqual([]);
});
