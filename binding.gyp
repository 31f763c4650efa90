{
  # `npx node-gyp rebuild` builds build/Release/winsock_direct.node; scripts/native-sanitize.mjs passes
  # sanitize=1 and keeps the result as build/Sanitize/winsock_direct.node.
  'variables': { 'sanitize%': 0 },
  'targets': [
    {
      'target_name': 'winsock_direct',
      'sources': [
        'native/src/addon.cc',
        'native/src/clock.cc',
        'native/src/dma.cc',
        'native/src/floor.cc',
        'native/src/pin.cc',
        'native/src/poll.cc',
        'native/src/shm.cc',
        'native/src/socket.cc',
        'native/src/translate.cc',
        'native/src/wake.cc',
        'native/src/watcher.cc',
      ],
      'defines': ['NAPI_VERSION=8', '_GNU_SOURCE'],
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': ['-std=c++17', '-O2', '-Wall', '-Wextra', '-fvisibility=hidden'],
      # Never unloaded: its SIGBUS handler outlives the last thread that used it.
      'ldflags': ['-Wl,-z,nodelete'],
      'conditions': [
        ['sanitize==1', {
          'cflags_cc': ['-fsanitize=address,undefined', '-fno-omit-frame-pointer', '-g'],
          'ldflags': ['-fsanitize=address,undefined'],
        }],
      ],
    },
  ],
}
