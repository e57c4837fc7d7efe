package amphora

import (
	"context"
	"sync"
)

// keyedLocks are mutexes by name that know contexts. The zero value is ready.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	token chan struct{}
	users int
}

// lock waits for the lock of key; call what it returns to give it back.
func (k *keyedLocks) lock(ctx context.Context, key string) (func(), error) {
	k.mu.Lock()
	entry := k.locks[key]
	if entry == nil {
		if k.locks == nil {
			k.locks = map[string]*keyedLock{}
		}
		entry = &keyedLock{token: make(chan struct{}, 1)}
		k.locks[key] = entry
	}
	entry.users++
	k.mu.Unlock()

	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if entry.users--; entry.users == 0 {
			delete(k.locks, key)
		}
	}
	select {
	case entry.token <- struct{}{}:
		return func() { <-entry.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
