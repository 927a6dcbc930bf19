/** A logged-in user. */
export interface Session {
  username: string;
  userId: string;
  token: string;
}

/** Makes a REST call. @throws Error with the answer if it fails */
export async function call<Body>(
  url: string,
  method: string,
  path: string,
  token?: string,
  body?: unknown,
): Promise<Body> {
  const response = await fetch(url + path, {
    method,
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as Body;
}
