package kfuncs

import (
	"math"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// maxString is XATTR_SIZE_MAX, how far functions look for the end of a string.
const maxString = 65536

// stringFuncs work on strings wherever they are: they may be told any address, and say so if nothing can be read there
// (kernel/bpf/helpers.c, 7.2).
func stringFuncs(*Host) []abi.Kfunc {
	const all = math.MaxUint64
	return []abi.Kfunc{
		row("int bpf_strcmp(const char *s1__ign, const char *s2__ign)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strncasecmp(c, a[0], a[1], false, all) }),
		row("int bpf_strcasecmp(const char *s1__ign, const char *s2__ign)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strncasecmp(c, a[0], a[1], true, all) }),
		row("int bpf_strncasecmp(const char *s1__ign, const char *s2__ign, size_t len)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strncasecmp(c, a[0], a[1], true, a[2]) }),
		row("int bpf_strchr(const char *s__ign, char c)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnchr(c, a[0], all, a[1]) }),
		row("int bpf_strchrnul(const char *s__ign, char c)", 0, ops.GroupCommon, strchrnul),
		row("int bpf_strnchr(const char *s__ign, size_t count, char c)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnchr(c, a[0], a[1], a[2]) }),
		row("int bpf_strrchr(const char *s__ign, int c)", 0, ops.GroupCommon, strrchr),
		row("int bpf_strlen(const char *s__ign)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnlen(c, a[0], all) }),
		row("int bpf_strnlen(const char *s__ign, size_t count)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnlen(c, a[0], a[1]) }),
		row("int bpf_strspn(const char *s__ign, const char *accept__ign)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strspn(c, a, true) }),
		row("int bpf_strcspn(const char *s__ign, const char *reject__ign)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strspn(c, a, false) }),
		row("int bpf_strstr(const char *s1__ign, const char *s2__ign)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnstr(c, a[0], a[1], false, maxString) }),
		row("int bpf_strcasestr(const char *s1__ign, const char *s2__ign)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnstr(c, a[0], a[1], true, maxString) }),
		row("int bpf_strnstr(const char *s1__ign, const char *s2__ign, size_t len)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnstr(c, a[0], a[1], false, a[2]) }),
		row("int bpf_strncasestr(const char *s1__ign, const char *s2__ign, size_t len)", 0, ops.GroupCommon,
			func(c *abi.Call, a *abi.Args) uint64 { return strnstr(c, a[0], a[1], true, a[2]) }),
	}
}

// str reads a string one character after the other. bad is why it cannot, once it could not.
type str struct {
	c    *abi.Call
	addr uint64
	bad  abi.Errno
}

// allowed follows copy_from_kernel_nofault_allowed: kernel addresses only.
func allowed(strs ...*str) bool {
	for _, s := range strs {
		if s.addr>>63 == 0 {
			return false
		}
	}
	return true
}

// at is the character at i, 0 if there is none to be read.
func (s *str) at(i uint64) int8 {
	b := s.c.Mem.Bytes(s.addr+i, 1)
	if b == nil {
		s.bad = abi.EFAULT
		return 0
	}
	return int8(b[0])
}

// lower follows tolower (lib/ctype.c), which knows Latin-1.
func lower(c int8) int8 {
	if u := uint8(c); u >= 'A' && u <= 'Z' || u >= 0xc0 && u <= 0xde && u != 0xd7 {
		return int8(u + 'a' - 'A')
	}
	return c
}

// strncasecmp follows __bpf_strncasecmp. Characters have signs, as on x86.
func strncasecmp(c *abi.Call, s1, s2 uint64, ignoreCase bool, n uint64) uint64 {
	x, y := str{c: c, addr: s1}, str{c: c, addr: s2}
	if !allowed(&x, &y) {
		return abi.ERANGE.Ret()
	}
	for i := range min(n, maxString) {
		a, b := x.at(i), y.at(i)
		if x.bad != 0 || y.bad != 0 {
			return abi.EFAULT.Ret()
		}
		if ignoreCase {
			a, b = lower(a), lower(b)
		}
		switch {
		case a < b:
			return retInt(-1)
		case a > b:
			return retInt(1)
		case a == 0:
			return 0
		}
	}
	if n >= maxString {
		return abi.E2BIG.Ret()
	}
	return 0
}

// scan calls f for each of the first n characters, and then done, or says why it cannot, until f has a result.
func scan(c *abi.Call, addr, n uint64, f func(i uint64, ch int8) (ret uint64, ok bool), done func() uint64) uint64 {
	s := str{c: c, addr: addr}
	if !allowed(&s) {
		return abi.ERANGE.Ret()
	}
	for i := range min(n, maxString) {
		ch := s.at(i)
		if s.bad != 0 {
			return s.bad.Ret()
		}
		if ret, ok := f(i, ch); ok {
			return ret
		}
	}
	if n >= maxString {
		return abi.E2BIG.Ret()
	}
	return done()
}

// strnchr follows bpf_strnchr.
func strnchr(c *abi.Call, addr, n, want uint64) uint64 {
	return scan(c, addr, n, func(i uint64, ch int8) (uint64, bool) {
		switch ch {
		case int8(want):
			return i, true
		case 0:
			return abi.ENOENT.Ret(), true
		}
		return 0, false
	}, abi.ENOENT.Ret)
}

// strchrnul follows bpf_strchrnul.
func strchrnul(c *abi.Call, a *abi.Args) uint64 {
	return scan(c, a[0], maxString, func(i uint64, ch int8) (uint64, bool) { return i, ch == 0 || ch == int8(a[1]) }, nil)
}

// strrchr follows bpf_strrchr.
func strrchr(c *abi.Call, a *abi.Args) uint64 {
	last := abi.ENOENT.Ret()
	return scan(c, a[0], maxString, func(i uint64, ch int8) (uint64, bool) {
		if int32(ch) == int32(a[1]) {
			last = i
		}
		return last, ch == 0
	}, nil)
}

// strnlen follows bpf_strnlen.
func strnlen(c *abi.Call, addr, n uint64) uint64 {
	return scan(c, addr, n, func(i uint64, ch int8) (uint64, bool) { return i, ch == 0 }, func() uint64 { return n })
}

// strspn follows bpf_strspn and, for want false, bpf_strcspn: how many characters at the beginning are of a set, or are not.
func strspn(c *abi.Call, a *abi.Args, want bool) uint64 {
	set := str{c: c, addr: a[1]}
	if !allowed(&set) {
		return abi.ERANGE.Ret()
	}
	return scan(c, a[0], maxString, func(i uint64, ch int8) (uint64, bool) {
		if ch == 0 {
			return i, true
		}
		for j := range uint64(maxString) {
			m := set.at(j)
			switch {
			case set.bad != 0:
				return set.bad.Ret(), true
			case m == ch:
				return i, !want
			case m == 0:
				return i, want
			}
		}
		return abi.E2BIG.Ret(), true
	}, nil)
}

// strnstr follows __bpf_strnstr: where the second string is in the first n characters of the first.
func strnstr(c *abi.Call, s1, s2 uint64, ignoreCase bool, n uint64) uint64 {
	x, y := str{c: c, addr: s1}, str{c: c, addr: s2}
	if !allowed(&x, &y) {
		return abi.ERANGE.Ret()
	}
	for i := range uint64(maxString) {
		j := uint64(0)
		for ; i+j <= n && j < maxString; j++ {
			b := y.at(j)
			if y.bad == 0 && b == 0 {
				return i
			}
			if y.bad == 0 && i+j == n {
				break
			}
			a := x.at(i + j)
			if x.bad != 0 || y.bad != 0 {
				return abi.EFAULT.Ret()
			}
			if ignoreCase {
				a, b = lower(a), lower(b)
			}
			if a == 0 {
				return abi.ENOENT.Ret()
			}
			if a != b {
				break
			}
		}
		switch {
		case j == maxString:
			return abi.E2BIG.Ret()
		case i+j == n:
			return abi.ENOENT.Ret()
		}
	}
	return abi.E2BIG.Ret()
}
