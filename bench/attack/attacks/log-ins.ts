import { attackerAddress, type Attack } from '../attack';
import { post } from '../http';

const CONCURRENCY = 250;

/** Each wave uses another address, so that none reaches the limit of log-ins per address. */
export const logIns: Attack = {
  what: `${CONCURRENCY} wrong log-ins at once from one address, again and again from new ones`,
  parallel: 1,
  prepare: (url) =>
    Promise.resolve((wave) =>
      Promise.all(
        Array.from({ length: CONCURRENCY }, (_, index) =>
          post(url, '/api/auth/login', attackerAddress(wave), {
            identifier: `nobody${wave}x${index}`,
            password: 'a wrong guess',
          }),
        ),
      ),
    ),
};
