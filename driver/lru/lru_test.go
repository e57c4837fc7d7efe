package lru

import "testing"

// What was used longest ago goes first, and what is larger than the bound is not kept.
func TestBound(t *testing.T) {
	cache := New[*string](100)
	value := new(string)
	cache.Put("a", value, 40)
	if kept := cache.Put("b", value, 40); kept != 80 {
		t.Errorf("%d bytes are kept", kept)
	}
	if cache.Get("a") != value {
		t.Error("a is gone")
	}
	cache.Put("c", value, 40)
	cache.Put("large", value, 101)
	if cache.Get("b") != nil || cache.Get("large") != nil || cache.Get("a") != value || cache.Get("c") != value {
		t.Error("not the one that was used longest ago is gone")
	}
	if cache.bytes != 80 || len(cache.byID) != 2 || cache.order.Len() != 2 || len(cache.IDs()) != 2 {
		t.Errorf("%d bytes of %d", cache.bytes, len(cache.byID))
	}
	if kept := cache.Put("a", value, 10); kept != 50 {
		t.Errorf("%d bytes are kept after a smaller one", kept)
	}
	if cache.Drop("nobody"); cache.Drop("a") != 40 || cache.Get("a") != nil {
		t.Error("what was dropped is still there")
	}
	// What is too large is in no case what was there before.
	if kept := cache.Put("c", value, 101); kept != 0 || cache.Get("c") != nil {
		t.Errorf("%d bytes are kept", kept)
	}
}
