/** The parameters of a call. */
interface Call {
  token?: string;
  /** The address that it claims to come from. */
  address: string;
  body?: unknown;
}

/** Makes a REST call and returns the answer. @throws Error with the status if it is refused */
export async function rest<Body>(
  url: string,
  method: string,
  path: string,
  { token, address, body }: Call,
): Promise<Body> {
  const isForm = body instanceof FormData;
  const response = await fetch(url + path, {
    method,
    headers: {
      'X-Forwarded-For': address,
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && !isForm && { 'Content-Type': 'application/json' }),
    },
    ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as Body;
}

/** Sends a POST request without an account, and ignores the answer. */
export async function post(url: string, path: string, address: string, body: unknown): Promise<void> {
  await rest(url, 'POST', path, { address, body }).catch(() => undefined);
}

export const PASSWORD = 'a password for the bench';

/** Creates an account. @returns its access token */
export async function register(url: string, username: string, address: string): Promise<string> {
  const body = { username, email: `${username}@example.org`, password: PASSWORD };
  const call = { address, body };
  return (await rest<{ accessToken: string }>(url, 'POST', '/api/auth/register', call)).accessToken;
}

/** Creates a channel in a new group. @returns its id */
export async function createChannel(url: string, token: string, address: string): Promise<string> {
  const name = `Bench ${Math.random().toString(36).slice(2)}`;
  const { group } = await rest<{ group: { id: string } }>(url, 'POST', '/api/groups', {
    token,
    address,
    body: { name, visibility: 'private' },
  });
  const { channel } = await rest<{ channel: { id: string } }>(url, 'POST', '/api/channels', {
    token,
    address,
    body: { groupId: group.id, name: 'general' },
  });
  return channel.id;
}

/** Uploads a file. */
export async function upload(
  url: string,
  token: string,
  address: string,
  content: Blob,
  name: string,
): Promise<void> {
  const body = new FormData();
  body.append('file', content, name);
  await rest(url, 'POST', '/api/upload', { token, address, body });
}
