package helpers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

func TestRingBuf(t *testing.T) {
	r := newRig(t)
	woken := 0
	r.env.Maps.Hooks.Wake = func(maps.Map) { woken++ }
	ring := r.create(maps.Spec{Name: "ring", Type: maps.TypeRingBuf, MaxEntries: 4096}).(*maps.RingBuf)
	user := r.create(maps.Spec{Name: "user", Type: maps.TypeUserRingBuf, MaxEntries: 4096}).(*maps.RingBuf)
	rb, data := ring.Addr, r.put(0, "hello")
	r.want(0, "", "ringbuf_output", rb, data, 5, 0)
	r.want(neg(abi.EINVAL), "", "ringbuf_output", rb, data, 5, 4)
	r.want(neg(abi.EAGAIN), "", "ringbuf_output", rb, data, 5000, 0)
	r.want(0, "bpf_ringbuf_output: invalid read of 5 bytes at 0x1234", "ringbuf_output", rb, bad, 5, 0)
	r.want(0, `bpf_ringbuf_output: map "user" is of type user_ringbuf`, "ringbuf_output", user.Addr, data, 5, 0)
	r.want(0, "", "ringbuf_reserve", rb, 8, 1)
	r.want(0, "", "ringbuf_reserve", rb, 5000, 0)
	a, b := uint64(r.run("ringbuf_reserve", rb, 8, 0)), uint64(r.run("ringbuf_reserve", rb, 3, 0))
	copy(r.env.Mem.Bytes(a, 8), "discards")
	copy(r.env.Mem.Bytes(b, 3), "abc")
	r.want(0, "", "ringbuf_discard", a, 0)
	r.want(0, "", "ringbuf_submit", b, maps.ForceWakeup)
	r.want(0, fmt.Sprintf("bpf_ringbuf_submit: no reserved record at %#x", b), "ringbuf_submit", b, 0)
	r.want(0, "bpf_ringbuf_discard: no reserved record at 0x1234", "ringbuf_discard", bad, 0)
	for flags, want := range []int64{16 + 16 + 16, 4096, 0, 48, 0, 0} {
		r.want(want, "", "ringbuf_query", rb, uint64(flags))
	}
	r.want(0, `bpf_ringbuf_query: map "user" is of type user_ringbuf`, "ringbuf_query", user.Addr, 0)
	var got []string
	ring.Consume(func(b []byte) { got = append(got, string(b)) })
	if d := cmp.Diff([]string{"hello", "abc"}, got); d != "" || woken != 2 {
		t.Errorf("woken %d times: %s", woken, d)
	}
}

func TestRingBufDynptr(t *testing.T) {
	r := newRig(t)
	ring := r.create(maps.Spec{Name: "ring", Type: maps.TypeRingBuf, MaxEntries: 4096}).(*maps.RingBuf)
	rb, d := ring.Addr, r.put(64, strings.Repeat("-", 16))
	null := strings.Repeat("\x00", 16)
	for _, tc := range []struct {
		name        string
		size, flags uint64
		want        abi.Errno
	}{{"flags", 8, 1, abi.EINVAL}, {"no room", 5000, 0, abi.EINVAL}, {"too large for a dynptr", 1 << 24, 0, abi.E2BIG}} {
		t.Run(tc.name, func(t *testing.T) {
			r.put(64, strings.Repeat("-", 16))
			r.want(neg(tc.want), "", "ringbuf_reserve_dynptr", rb, tc.size, tc.flags, d)
			if r.get(d, 16) != null {
				t.Error("the dynptr is not null")
			}
		})
	}
	r.want(0, "bpf_ringbuf_reserve_dynptr: invalid write of 16 bytes at 0x1234", "ringbuf_reserve_dynptr", rb, 8, 0, bad)
	r.want(0, "", "ringbuf_submit_dynptr", d, 0) // a null dynptr
	r.want(0, "", "ringbuf_reserve_dynptr", rb, 8, 0, d)
	if got, _ := r.env.Mem.Load(d+8, 4); got != 8|2<<28 {
		t.Errorf("size word %#x", got)
	}
	r.want(0, "", "dynptr_write", d, 3, r.put(0, "xyz"), 3, 0)
	r.want(neg(abi.E2BIG), "", "dynptr_write", d, 6, r.buf, 3, 0)
	r.want(0, "", "ringbuf_submit_dynptr", d, 0)
	if r.get(d, 16) != null {
		t.Error("the dynptr is not null")
	}
	r.want(0, "", "ringbuf_reserve_dynptr", rb, 8, 0, d)
	r.want(0, "", "ringbuf_discard_dynptr", d, 0)
	var got []string
	ring.Consume(func(b []byte) { got = append(got, string(b)) })
	if d := cmp.Diff([]string{"\x00\x00\x00xyz\x00\x00"}, got); d != "" {
		t.Error(d)
	}
	r.env.Mem.Store(d, 8, 77)
	r.want(0, "bpf_ringbuf_submit_dynptr: no reserved record at 0x4d", "ringbuf_submit_dynptr", d, 0)
}

func TestUserRingBuf(t *testing.T) {
	r := newRig(t)
	woken := 0
	r.env.Maps.Hooks.Wake = func(maps.Map) { woken++ }
	ring := r.create(maps.Spec{Name: "user", Type: maps.TypeUserRingBuf, MaxEntries: 4096}).(*maps.RingBuf)
	var got []string
	r.call.Sub = func(fn uint64, a abi.Args) uint64 {
		if fn != 0xbeef || a[1] != 22 {
			t.Errorf("callback %#x with %#x", fn, a)
		}
		d, _ := LoadDynptr(&r.call, r.env.Mem, a[0])
		got = append(got, r.get(d.SliceRW(0, d.Len()), d.Len()))
		r.want(neg(abi.EBUSY), "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, 0)
		return uint64(len(got) / 3)
	}
	r.want(0, "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, 0)
	for i := range 4 {
		ring.Produce([]byte{byte('a' + i)})
	}
	r.want(3, "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, 0)
	r.want(1, "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, maps.NoWakeup)
	if d := cmp.Diff([]string{"a", "b", "c", "d"}, got); d != "" || woken != 1 {
		t.Errorf("woken %d times: %s", woken, d)
	}
	r.want(0, "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, maps.ForceWakeup)
	if woken != 2 {
		t.Errorf("woken %d times", woken)
	}
	r.want(neg(abi.EINVAL), "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, 4)
	ring.Produce([]byte("x"))
	r.env.Mem.Store(ring.Mmap()+2*4096+4*16, 4, 4000) // a length beyond what was produced
	r.want(neg(abi.EINVAL), "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, 0)
	r.env.Mem.Store(ring.Mmap()+2*4096+4*16, 4, 1)
	r.call.Sub = func(uint64, abi.Args) uint64 { r.call.Fault = "inside"; return 0 }
	r.want(0, "inside", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, 0)
	r.call.Sub = func(uint64, abi.Args) uint64 { return 1 }
	r.want(0, "", "user_ringbuf_drain", ring.Addr, 0xbeef, 22, 0) // a fault does not leave it locked
}

func TestDynptr(t *testing.T) {
	r := newRig(t)
	d, data, out := r.put(64, strings.Repeat("-", 16)), r.put(0, "0123456789"), r.put(128, "--------")
	r.want(neg(abi.E2BIG), "", "dynptr_from_mem", data, 1<<24, 0, d)
	r.want(neg(abi.EINVAL), "", "dynptr_from_mem", data, 10, 1, d)
	r.want(neg(abi.EINVAL), "", "dynptr_read", out, 1, d, 0, 0) // null now
	r.want(neg(abi.EINVAL), "", "dynptr_write", d, 0, data, 1, 0)
	r.want(0, "", "dynptr_data", d, 0, 1)
	r.want(0, "bpf_dynptr_from_mem: invalid write of 10 bytes at 0x1234", "dynptr_from_mem", bad, 10, 0, d)
	r.want(0, "bpf_dynptr_from_mem: no room for a dynptr at 0x1234", "dynptr_from_mem", data, 10, 0, bad)
	r.want(0, "", "dynptr_from_mem", data, 10, 0, d)
	if got, want := r.get(d, 16), string(le64(data))+"\x0a\x00\x00\x10\x00\x00\x00\x00"; got != want {
		t.Errorf("dynptr % x, want % x", got, want)
	}
	r.want(0, "", "dynptr_read", out, 4, d, 6, 0)
	if got := r.get(out, 5); got != "6789-" {
		t.Errorf("read %q", got)
	}
	r.want(neg(abi.E2BIG), "", "dynptr_read", out, 4, d, 7, 0)
	r.want(neg(abi.EINVAL), "", "dynptr_read", out, 4, d, 6, 1)
	r.want(neg(abi.E2BIG), "", "dynptr_read", out, 4, d, ^uint64(0), 0)
	r.want(0, "bpf_dynptr_read: no dynptr at 0x1234", "dynptr_read", out, 4, bad, 0, 0)
	r.want(0, "", "dynptr_write", d, 1, data, 5, 0) // overlapping
	if got := r.get(data, 10); got != "0012346789" {
		t.Errorf("wrote %q", got)
	}
	r.want(neg(abi.EINVAL), "", "dynptr_write", d, 1, data, 5, 1)
	r.want(int64(data)+2, "", "dynptr_data", d, 2, 8)
	r.want(0, "", "dynptr_data", d, 2, 9)
	r.env.Mem.Store(d+8, 4, 10|1<<28|1<<31) // read-only
	r.want(neg(abi.EINVAL), "", "dynptr_write", d, 1, data, 5, 0)
	r.want(0, "", "dynptr_data", d, 2, 8)
	r.want(0, "", "dynptr_read", out, 4, d, 6, 0)
	r.env.Mem.Store(d+8, 4, 10|3<<28) // a socket buffer, says the program
	r.want(neg(abi.EFAULT), "", "dynptr_read", out, 4, d, 6, 0)
	r.want(0, "", "dynptr_data", d, 2, 8)
	r.env.Mem.Store(d, 8, 0x4000)
	r.env.Mem.Store(d+8, 4, 10|1<<28)
	r.want(0, "bpf_dynptr_read: dynptr to 4 bytes at 0x4006, which are not memory", "dynptr_read", out, 4, d, 6, 0)
}
