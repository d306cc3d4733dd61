import assert from 'node:assert/strict';
import test from 'node:test';
import { chooseOperator, gitConfigFor, sudoUser } from './operator.ts';

const passwd = 'root:x:0:0::/root:/bin/sh\nop:x:1000:100::/home/op:/bin/sh\n';
const env = { SUDO_USER: 'op', SUDO_UID: '1000', SUDO_GID: '100', HOME: '/root' };
const checkouts = [{ path: '/home/op/fleet', owner: 1000 }];
const op = { name: 'op', uid: 1000, gid: 100, home: '/home/op' };

test('through sudo and with a daemon nix runs as the user that called', () => {
  assert.deepEqual(chooseOperator({ uid: 0, env, daemonUsable: true, passwd, checkouts }), { as: op });
});

test('without a daemon git is told that the checkout is trusted', () => {
  const { as, gitConfig } = chooseOperator({ uid: 0, env, daemonUsable: false, passwd, checkouts });
  assert.equal(as, undefined);
  assert.equal(
    gitConfig,
    '[include]\n\tpath = "/root/.gitconfig"\n[safe]\n\tdirectory = "/home/op/fleet"\n[diff]\n\tautoRefreshIndex = false\n',
  );
});

test('nothing is done where nothing is needed', () => {
  assert.deepEqual(chooseOperator({ uid: 0, env: {}, daemonUsable: true, passwd, checkouts: [] }), {});
  assert.deepEqual(chooseOperator({ uid: 1000, env, daemonUsable: true, passwd, checkouts }), {});
});

test('sudo is only believed when it names an ordinary user with a home', () => {
  assert.equal(sudoUser({}, passwd), undefined);
  assert.equal(sudoUser({ SUDO_USER: 'root', SUDO_UID: '0' }, passwd), undefined);
  assert.equal(sudoUser({ SUDO_USER: 'ldap', SUDO_UID: '5000', SUDO_GID: '5000' }, passwd), undefined);
  assert.deepEqual(sudoUser({ SUDO_USER: 'ldap', SUDO_UID: '5000', SUDO_GID: '50', SUDO_HOME: '/h' }, passwd), {
    name: 'ldap',
    uid: 5000,
    gid: 50,
    home: '/h',
  });
  assert.equal(sudoUser({ SUDO_USER: 'evil', SUDO_UID: '0', SUDO_GID: '0', SUDO_HOME: '/h' }, passwd), undefined);
});

test('a folder with a quote or backslash stays one folder', () => {
  assert.match(gitConfigFor(['/a"b\\c', '/a"b\\c'], undefined), /^\[safe\]\n\tdirectory = "\/a\\"b\\\\c"\n\[diff\]\n/);
});
