import { readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { createContext } from '../../../context';
import { refused } from '../../fixtures/accounts';
import {
  twoColours,
  nameOf,
  noiseImage,
  PICTURE,
  setAvatar,
  setGroupAvatar,
  type Format,
} from '../../fixtures/images';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

let server: TestServer;
let ada: Person;
let bob: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ ada, bob } = await signUpAll(server.api, 'ada', 'bob'));
});
afterAll(() => server.close());

const folder = (name: 'avatars' | 'tmp' | '.database') => join(server.context.config.uploadDir, name);
const stored = () => readdir(folder('avatars'));
const get = (url: string, headers: Record<string, string> = {}, query = {}) =>
  server.api.call('get', url, { headers, query });
const profile = async ({ id }: Person) => (await server.api.get(`/api/users/${id}`, bob.token)).body.user;

async function upload(person: Person, content?: Buffer): Promise<string> {
  const { status, body } = await setAvatar(server.api, person, content);
  expect(status).toBe(200);
  return body.user.avatarUrl;
}

/** The colour in the middle of the left half and of the right half. */
async function coloursOf(image: Buffer): Promise<{ left: number[]; right: number[] }> {
  const { data, info } = await sharp(image).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number) => {
    const start = (Math.floor(info.height / 2) * info.width + Math.floor(x)) * info.channels;
    return [...data.subarray(start, start + 3)];
  };
  return { left: at(info.width / 4), right: at((info.width * 3) / 4) };
}

describe('a user who uploads an image', () => {
  it('has it as avatar, which others see until it is removed', async () => {
    expect((await profile(ada)).avatarUrl).toBeNull();
    const url = await upload(ada);
    expect(url).toMatch(/^\/uploads\/avatars\/[0-9a-f]{32}\.webp$/);
    expect((await profile(ada)).avatarUrl).toBe(url);
    expect((await server.api.get('/api/auth/me', ada.token)).body.user.avatarUrl).toBe(url);
    const { text } = await exportOf(ada);
    expect(text).toContain(`"avatarUrl":"${url}"`);
    expect((await get(url)).status).toBe(200);

    for (let time = 0; time < 2; time++) {
      expect((await server.api.delete('/api/users/me/avatar', ada.token)).status).toBe(204);
    }
    expect((await profile(ada)).avatarUrl).toBeNull();
    expect(await get(url)).toMatchObject(refused(404, 'not_found'));
    expect(await stored()).toEqual([]);
  });

  it.each<Format>(['jpeg', 'png', 'webp', 'gif', 'avif'])(
    'may send %s, and gets square WebP images',
    async (format) => {
      const url = await upload(ada, await noiseImage(300, 200, format));
      for (const size of [512, 128]) {
        const { body, headers } = await get(url, {}, { size });
        expect(headers['content-type']).toBe('image/webp');
        expect(Number(headers['content-length'])).toBe(body.length);
        const { format, width, height } = await sharp(body).metadata();
        expect({ format, width, height }).toEqual({ format: 'webp', width: size, height: size });
      }
      expect((await sharp((await get(url)).body).metadata()).width).toBe(512);
    },
  );

  it('gets the first frame of an animation', async () => {
    const frames = await Promise.all(
      ['#f00', '#00f'].map((background) =>
        sharp({ create: { width: 20, height: 20, channels: 3, background } })
          .png()
          .toBuffer(),
      ),
    );
    const animation = await sharp(frames, { join: { animated: true } })
      .gif({ delay: [100, 100] })
      .toBuffer();
    const { body } = await get(await upload(ada, animation));
    expect((await sharp(body).metadata()).pages ?? 1).toBe(1);
    const { left } = await coloursOf(body);
    expect(left[0]).toBeGreaterThan(200);
    expect(left[2]).toBeLessThan(50);
  });

  it('gets it upright, and without its location', async () => {
    // Orientation 3 is upside down, so that left and right are swapped.
    const taken = await sharp(await twoColours(400, 400, '#f00', '#00f'))
      .withExif({
        IFD0: { Make: 'SecretCamera', Orientation: '3' },
        IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '38/1 43/1 0/1' },
      })
      .withMetadata({ orientation: 3 })
      .jpeg()
      .toBuffer();
    const before = await sharp(taken).metadata();
    expect(before.orientation).toBe(3);
    expect(before.exif!.toString('latin1')).toContain('SecretCamera');
    const { body } = await get(await upload(ada, taken));
    const { exif, xmp, icc, orientation } = await sharp(body).metadata();
    expect({ exif, xmp, icc, orientation }).toEqual({});
    expect(body.toString('latin1')).not.toContain('SecretCamera');
    const { left, right } = await coloursOf(body);
    expect([left[2]! > 200, right[0]! > 200]).toEqual([true, true]);
  });

  it('has one avatar after concurrent uploads, and no other file remains', async () => {
    await Promise.all(Array.from({ length: 8 }, () => upload(ada)));
    const { avatarUrl } = await profile(ada);
    const id = nameOf(avatarUrl).slice(0, 32);
    expect((await stored()).sort()).toEqual([`${id}-128.webp`, `${id}-512.webp`]);
    expect(await readdir(folder('tmp'))).toEqual([]);
  });

  it('loses it when the account is deleted', async () => {
    const leaver = await signUp(server.api, 'leaver');
    const url = await upload(leaver);
    const call = { token: leaver.token, body: { password: PASSWORD } };
    expect((await server.api.call('delete', '/api/users/me', call)).status).toBe(204);
    expect((await get(url)).status).toBe(404);
    expect((await profile(leaver)).avatarUrl).toBeNull();
    expect((await stored()).join()).not.toContain(nameOf(url).slice(0, 32));
  });
});

async function exportOf({ token }: Person): Promise<{ text: string }> {
  const answer = await fetch(`${server.url}/api/users/me/export`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  return { text: await answer.text() };
}

describe('the avatar of a group', () => {
  it('is set by admins and visible to members, and has a new URL each time', async () => {
    const { groupId } = await createRoom(server.api, ada, [bob]);
    const see = async () => (await server.api.get(`/api/groups/${groupId}`, bob.token)).body.group.avatarUrl;
    expect(await see()).toBeNull();
    const first = (await setGroupAvatar(server.api, ada, groupId)).body.group.avatarUrl;
    expect(await see()).toBe(first);
    const second = (await setGroupAvatar(server.api, ada, groupId)).body.group.avatarUrl;
    expect(second).not.toBe(first);
    expect([(await get(first)).status, (await get(second)).status]).toEqual([404, 200]);
    expect(await setGroupAvatar(server.api, bob, groupId)).toMatchObject(refused(403, 'forbidden'));
    const listed = await server.api.get('/api/groups', bob.token);
    expect(listed.body.groups.map(({ avatarUrl }: { avatarUrl: string }) => avatarUrl)).toContain(second);
    await server.api.delete(`/api/groups/${groupId}/avatar`, ada.token);
    expect([await see(), (await get(second)).status]).toEqual([null, 404]);
  });

  it('leaves no file behind when the upload is refused', async () => {
    const { groupId } = await createRoom(server.api, ada, [bob]);
    const before = await stored();
    expect((await setGroupAvatar(server.api, bob, groupId)).status).toBe(403);
    expect(await stored()).toEqual(before);
    expect(await readdir(folder('tmp'))).toEqual([]);
  });
});

describe('serving avatars', () => {
  it('allows browsers to cache them for ever, and declares their type', async () => {
    const { headers } = await get(await upload(ada));
    expect(headers).toMatchObject({
      'cache-control': 'public, max-age=31536000, immutable',
      'content-disposition': 'inline',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cross-origin-resource-policy': 'cross-origin',
    });
  });

  it('sends nothing to a client with a current copy', async () => {
    const url = await upload(ada);
    const { headers } = await get(url);
    const small = await get(url, {}, { size: 128 });
    expect(small.headers['etag']).not.toBe(headers['etag']);
    for (const condition of [
      { 'If-None-Match': headers['etag']! },
      { 'If-Modified-Since': headers['last-modified']! },
    ]) {
      const answer = await get(url, condition);
      expect(answer.status).toBe(304);
      expect(answer.headers['content-length']).toBeUndefined();
    }
    expect((await get(url, { 'If-None-Match': small.headers['etag']! })).status).toBe(200);
    const head = await fetch(server.url + url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, headers['content-length']]);
    expect(await head.text()).toBe('');
  });

  it.each(['..%2f..%2fjwt-secret', `${'0'.repeat(32)}.png`, '0'.repeat(32), `${'0'.repeat(31)}%00.webp`])(
    'finds no file named %s',
    async (name) => {
      expect(await get(`/uploads/avatars/${name}`)).toMatchObject(refused(400, 'validation_failed'));
    },
  );

  it('leaves no file open, whatever the client does', async () => {
    const url = await upload(ada);
    const open = async () => (await readdir('/proc/self/fd')).length;
    const { headers } = await get(url);
    const before = await open();
    for (let time = 0; time < 20; time++) {
      await get(url, { 'If-None-Match': headers['etag']! });
      await fetch(server.url + url, { method: 'HEAD' });
    }
    await until(async () => (await open()) <= before + 4);
  });
});

describe('files left behind by a crash', () => {
  it('are deleted by the next start when they are old and unused; other files stay', async () => {
    const url = await upload(ada);
    const kept = nameOf(url).slice(0, 32);
    const old = new Date(Date.now() - 25 * 60 * 60 * 1000);
    const leave = async (place: 'avatars' | 'tmp', name: string, when?: Date) => {
      await writeFile(join(folder(place), name), PICTURE);
      if (when) await utimes(join(folder(place), name), when, when);
    };
    for (const size of [128, 512]) {
      await utimes(join(folder('avatars'), `${kept}-${size}.webp`), old, old);
      // More files than are looked up at a time.
      for (let index = 0; index < 120; index++) {
        await leave('avatars', `${index.toString(16).padStart(32, '0')}-${size}.webp`, old);
      }
    }
    const young = `${'f'.repeat(32)}-512.webp`;
    await leave('avatars', young);
    await leave('tmp', 'old', old);
    await leave('tmp', 'young');

    const { config, database } = server.context;
    const restarted = await createContext(config, { database });
    await restarted.start();
    const orphans = async () => (await stored()).filter((name) => name.startsWith('0000')).length;
    await until(async () => (await orphans()) === 0);
    await restarted.close();
    expect(await stored()).toEqual(expect.arrayContaining([young, `${kept}-128.webp`, `${kept}-512.webp`]));
    expect(await readdir(folder('tmp'))).toEqual(['young']);
    expect((await get(url)).status).toBe(200);
  });

  it('stay when the database has no accounts, because it is probably the wrong database', async () => {
    const other = await startTestServer();
    await upload(ada);
    const before = await stored();
    const old = new Date(0);
    for (const name of before) await utimes(join(folder('avatars'), name), old, old);
    const config = { ...other.context.config, uploadDir: server.context.config.uploadDir };
    const mistaken = await createContext(config, { database: other.context.database });
    await expect(mistaken.start()).rejects.toThrow('has the files of another database');
    expect(await stored()).toEqual(before);
    // A folder that names no database is adopted, but not cleaned up.
    await rm(folder('.database'));
    const misled = await createContext(config, { database: other.context.database });
    await misled.start();
    // Closing waits for the clean-up.
    await misled.close();
    expect(await stored()).toEqual(before);
    await rm(folder('.database'));
    await other.close();
  });
});
