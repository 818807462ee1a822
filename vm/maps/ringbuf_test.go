package maps

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// pages is the memory of a ring buffer as another process maps it: the consumer's page, the producer's, and the data twice in
// a row.
func pages(r *RingBuf) (cons, prod, data []byte) {
	b := r.t.Mem.Bytes(r.Mmap(), 2*mem.PageSize+r.Size())
	data = b[2*mem.PageSize:]
	return b[:mem.PageSize], b[mem.PageSize : 2*mem.PageSize], append(bytes.Clone(data), data...)
}

// A ring buffer behaves as a queue of records that become visible in order; another process that follows the protocol of the
// kernel reads the same.
func TestRingBufProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 4096
		tab := table(t, 1)
		woken := 0
		tab.Hooks.Wake = func(Map) { woken++ }
		r := create(t, tab, Spec{Name: "r", Type: TypeRingBuf, MaxEntries: size}).(*RingBuf)
		type rec struct {
			addr, pos uint64
			len       int // with header, padded
			data      []byte
			state     string // reserved, done, discarded
		}
		var model []rec // not consumed
		prod, cons, serial := uint64(0), uint64(0), byte(0)
		// consumed takes the records from the model that can be consumed and returns the data.
		consumed := func() (want []string) {
			for len(model) > 0 && model[0].state != "reserved" {
				if model[0].state == "done" {
					want = append(want, string(model[0].data))
				}
				cons += uint64(model[0].len)
				model = model[1:]
			}
			return want
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch op := rapid.SampledFrom([]string{"reserve", "reserve", "commit", "commit", "output", "consume", "process"}).Draw(t, "op"); op {
			case "reserve", "output":
				n := rapid.SampledFrom([]int{0, 1, 8, 100, 700, 1500, 4080, 4088, 5000}).Draw(t, "size")
				total := (n + 8 + 7) &^ 7
				pending := prod // the oldest record that is reserved, among all that are not consumed
				for _, m := range model {
					if m.state == "reserved" {
						pending = m.pos
						break
					}
				}
				fits := total <= size && prod+uint64(total)-cons <= size-1 && prod+uint64(total)-pending <= size-1
				serial++
				data := bytes.Repeat([]byte{serial}, n)
				m := rec{pos: prod, len: total, data: data, state: "reserved"}
				if op == "output" {
					want := abi.EAGAIN
					if fits {
						want = 0
					}
					if e := r.Output(data, 0); e != want {
						t.Fatalf("output of %d bytes: %v, want %v", n, e, want)
					}
					m.state = "done"
				} else {
					m.addr = r.Reserve(uint64(n))
					if (m.addr != 0) != fits {
						t.Fatalf("reserve of %d bytes: %#x, fits %v", n, m.addr, fits)
					}
					if fits {
						copy(tab.Mem.Bytes(m.addr, uint64(n)), data)
					}
				}
				if fits {
					model = append(model, m)
					prod += uint64(total)
				}
			case "commit":
				i := rapid.IntRange(0, max(len(model)-1, 0)).Draw(t, "which")
				if i >= len(model) || model[i].state != "reserved" {
					continue
				}
				discard := rapid.Bool().Draw(t, "discard")
				if !r.Commit(model[i].addr, 0, discard) || r.Commit(model[i].addr, 0, discard) {
					t.Fatal("a record can be committed exactly once")
				}
				model[i].state = map[bool]string{false: "done", true: "discarded"}[discard]
			case "consume":
				want := consumed()
				var got []string
				r.Consume(func(b []byte) { got = append(got, string(b)) })
				if d := cmp.Diff(want, got); d != "" {
					t.Fatal(d)
				}
			case "process":
				want := consumed()
				consPage, prodPage, data := pages(r)
				pos := binary.LittleEndian.Uint64(consPage)
				var got []string
				for pos < binary.LittleEndian.Uint64(prodPage) {
					h := binary.LittleEndian.Uint32(data[pos%size:])
					if h>>31 != 0 {
						break
					}
					n := uint64(h & (1<<30 - 1))
					if h>>30 == 0 {
						got = append(got, string(data[pos%size+8:][:n]))
					}
					if page := binary.LittleEndian.Uint32(data[pos%size+4:]); uint64(page) != 3+pos%size/4096 {
						t.Fatalf("page %d in the header of the record at %d", page, pos)
					}
					pos += (n + 15) &^ 7
				}
				binary.LittleEndian.PutUint64(consPage, pos)
				if d := cmp.Diff(want, got); d != "" {
					t.Fatal(d)
				}
			}
			if r.ProducerPos() != prod || r.ConsumerPos() != cons || r.Avail() != prod-cons {
				t.Fatalf("positions %d and %d, want %d and %d", r.ProducerPos(), r.ConsumerPos(), prod, cons)
			}
		}
	})
}

// Whatever another process or a program writes to the pages, nothing happens but records that are not as expected.
func TestRingBufHostile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := table(t, 2)
		typ := rapid.SampledFrom([]Type{TypeRingBuf, TypeUserRingBuf}).Draw(t, "type")
		flags := uint32(0)
		if typ == TypeRingBuf && rapid.Bool().Draw(t, "overwrite") {
			flags = FlagOverwrite
		}
		r := create(t, tab, Spec{Name: "r", Type: typ, MaxEntries: 4096, Flags: flags}).(*RingBuf)
		all := tab.Mem.Bytes(r.base, r.bytes())
		word := rapid.SampledFrom([]uint64{0, 1, 7, 8, 4095, 4096, 1 << 30, 1 << 31, 1<<31 | 9, 1<<32 - 1, 1 << 63, ^uint64(0), ^uint64(7)})
		var addrs []uint64
		for range 40 {
			switch rapid.IntRange(0, 6).Draw(t, "op") {
			case 0:
				if a := r.Reserve(rapid.Uint64Max(5000).Draw(t, "size")); a != 0 {
					addrs = append(addrs, a)
				}
			case 1:
				if len(addrs) > 0 {
					r.Commit(addrs[0], 0, false)
					addrs = addrs[1:]
				}
			case 2:
				r.Consume(func([]byte) {})
			case 3:
				if _, n, e := r.Peek(); e == 0 && typ == TypeUserRingBuf {
					r.Release(n)
				}
			case 4:
				r.Produce(make([]byte, rapid.IntRange(0, 5000).Draw(t, "size")))
			case 5:
				at := rapid.SampledFrom([]int{4096, 8192, 8200, 8208}).Draw(t, "page")
				binary.LittleEndian.PutUint64(all[at:], word.Draw(t, "word"))
			case 6:
				at := 12288 + 8*rapid.IntRange(0, 1023).Draw(t, "at")
				binary.LittleEndian.PutUint64(all[at:], word.Draw(t, "word"))
			}
		}
	})
}

// An overwriting ring buffer drops its oldest records.
func TestRingBufOverwrite(t *testing.T) {
	tab := table(t, 1)
	r := create(t, tab, Spec{Name: "r", Type: TypeRingBuf, MaxEntries: 4096, Flags: FlagOverwrite}).(*RingBuf)
	for i := range byte(10) {
		if e := r.Output(bytes.Repeat([]byte{i}, 992), 0); e != 0 { // 1000 with the header
			t.Fatalf("record %d: %v", i, e)
		}
	}
	if r.ProducerPos() != 10000 || r.OverwritePos() != 6000 || r.Avail() != 4000 {
		t.Errorf("producer at %d, overwritten up to %d, %d to be read", r.ProducerPos(), r.OverwritePos(), r.Avail())
	}
	_, prod, _ := pages(r)
	if got := binary.LittleEndian.Uint64(prod[16:]); got != 6000 {
		t.Errorf("overwrite_pos %d in memory", got)
	}
	held := r.Reserve(992)
	for range 3 {
		r.Output(make([]byte, 992), 0)
	}
	if e := r.Output(make([]byte, 992), 0); e != abi.EAGAIN {
		t.Errorf("a record that is being written would be overwritten: %v", e)
	}
	if !r.Commit(held, 0, false) || r.Output(make([]byte, 992), 0) != 0 {
		t.Error("no room after it was written")
	}
}

func TestRingBufWakeups(t *testing.T) {
	tab := table(t, 1)
	woken := 0
	tab.Hooks.Wake = func(Map) { woken++ }
	r := create(t, tab, Spec{Name: "r", Type: TypeRingBuf, MaxEntries: 4096}).(*RingBuf)
	for _, tc := range []struct {
		name    string
		flags   uint64
		consume bool
		want    int
	}{
		{"the consumer has caught up", 0, false, 1},
		{"it has not", 0, false, 0},
		{"forced", ForceWakeup, false, 1},
		{"caught up, but not to be woken", NoWakeup, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			woken = 0
			if tc.consume {
				r.Consume(func([]byte) {})
			}
			if e := r.Output([]byte("x"), tc.flags); e != 0 || woken != tc.want {
				t.Errorf("%v, woken %d times, want %d", e, woken, tc.want)
			}
		})
	}
	if e := r.Output(nil, 4); e != abi.EINVAL {
		t.Errorf("unknown flag: %v", e)
	}
	if r.Reserve(1<<30) != 0 || r.Commit(r.data()+8, 0, false) {
		t.Error("a record that cannot be")
	}
}

// What user space produces comes out in order; what it does wrong has the kernel's error.
func TestUserRingBuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := create(t, table(t, 1), Spec{Name: "u", Type: TypeUserRingBuf, MaxEntries: 4096}).(*RingBuf)
		var model []string
		used, serial := 0, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "produce") {
				n := rapid.SampledFrom([]int{0, 1, 8, 100, 1000, 3000, 4088, 4089}).Draw(t, "size")
				total := (n + 15) &^ 7
				serial++
				sample := []byte(fmt.Sprintf("%-*d", n, serial))[:n]
				want := abi.Errno(0)
				switch {
				case total > 4096:
					want = abi.E2BIG
				case used+total > 4096:
					want = abi.ENOSPC
				}
				if e := r.Produce(sample); e != want {
					t.Fatalf("produce of %d bytes: %v, want %v", n, e, want)
				}
				if want == 0 {
					model, used = append(model, string(sample)), used+total
				}
				continue
			}
			addr, n, e := r.Peek()
			if len(model) == 0 {
				if e != abi.ENODATA {
					t.Fatalf("peek into nothing: %v", e)
				}
				continue
			}
			if got := string(r.t.Mem.Bytes(addr, uint64(n))); e != 0 || got != model[0] {
				t.Fatalf("peek: %v, %q, want %q", e, got, model[0])
			}
			r.Release(n)
			used -= (len(model[0]) + 15) &^ 7
			model = model[1:]
		}
	})
	for _, tc := range []struct {
		name       string
		hdr        uint32
		prod, cons uint64
		want       abi.Errno
		after      uint64 // the consumer's position
	}{
		{"busy", 1<<31 | 8, 16, 0, abi.ENODATA, 0},
		{"discarded", 1<<30 | 8, 16, 0, abi.EAGAIN, 16},
		{"longer than what was produced", 16, 16, 0, abi.EINVAL, 0},
		{"longer than the buffer", 4096, 8192, 0, abi.E2BIG, 0},
		{"odd position", 8, 17, 0, abi.EINVAL, 0},
		{"consumer ahead", 8, 16, 24, abi.ENODATA, 24},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := create(t, table(t, 1), Spec{Name: "u", Type: TypeUserRingBuf, MaxEntries: 4096}).(*RingBuf)
			cons, prod, _ := pages(r)
			binary.LittleEndian.PutUint64(prod, tc.prod)
			binary.LittleEndian.PutUint64(cons, tc.cons)
			r.t.Mem.Store(r.data(), 4, uint64(tc.hdr))
			if _, _, e := r.Peek(); e != tc.want || r.ConsumerPos() != tc.after {
				t.Errorf("%v, consumer at %d, want %v, %d", e, r.ConsumerPos(), tc.want, tc.after)
			}
		})
	}
	r := create(t, table(t, 1), Spec{Name: "u", Type: TypeUserRingBuf, MaxEntries: 4096}).(*RingBuf)
	if r.Lock() != 0 || r.Lock() != abi.EBUSY {
		t.Error("two drain at once")
	}
	if r.Unlock(0, true); r.Lock() != 0 {
		t.Error("nobody drains")
	}
	if r.Reserve(8) != 0 {
		t.Error("a program reserves in a user ring buffer")
	}
}
