import { attackerAddress, type Attack } from '../attack';
import { post } from '../http';

const AT_ONCE = 250;

/** Each wave comes from another address, so that none reaches the limit of log-ins for one address. */
export const logIns: Attack = {
  what: `${AT_ONCE} wrong log-ins at once from one address, again and again from new ones`,
  parallel: 1,
  prepare: (url) =>
    Promise.resolve((wave) =>
      Promise.all(
        Array.from({ length: AT_ONCE }, (_, index) =>
          post(url, '/api/auth/login', attackerAddress(wave), {
            identifier: `nobody${wave}x${index}`,
            password: 'a wrong guess',
          }),
        ),
      ),
    ),
};
