package helpers

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
)

// Expected texts are what the kernel's vsnprintf makes of the same format.
func TestSprintf(t *testing.T) {
	r := newRig(t)
	str := r.put(0, "name\x00")
	long := r.put(1024, strings.Repeat("x", 700)+"\x00")
	ip := r.put(64, "\x0a\x00\x01\xff\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x01")
	all := ^uint64(0)
	for _, tc := range []struct {
		format string
		args   []uint64
		want   string
		err    abi.Errno
	}{
		{"plain", nil, "plain", 0},
		{"100%%", nil, "100%", 0},
		{"%d", []uint64{all}, "-1", 0},
		{"%i", []uint64{1 << 32}, "0", 0},
		{"%u", []uint64{all}, "4294967295", 0},
		{"%x", []uint64{0xabcdef12345678}, "ef12345678"[2:], 0},
		{"%X", []uint64{0xbeef}, "BEEF", 0},
		{"%ld", []uint64{all}, "-1", 0},
		{"%lld %lu %llx", []uint64{1 << 63, all, all}, "-9223372036854775808 18446744073709551615 ffffffffffffffff", 0},
		{"[%5d][%-5d][%05d][%+d][% d]", []uint64{42, 42, all, 42, 42}, "[   42][42   ][-0001][+42][ 42]", 0},
		{"[%+05d][%-05d][%10x]", []uint64{42, 42, 255}, "[+0042][42   ][        ff]", 0},
		{"%s|%10s|%-6s|%010s", []uint64{str, str, str, str}, "name|      name|name  |      name", 0},
		{"%s", []uint64{0}, "", 0},
		{"%s", []uint64{bad}, "", 0},
		{"%pks,%pus", []uint64{str, str}, "name,", 0},
		{"%c%c", []uint64{'a', 'b'}, "ab", 0},
		{"%p", []uint64{0xffffffff80001000}, "ffffffff80001000", 0},
		{"%p", []uint64{0}, "0000000000000000", 0},
		{"%px-%pK", []uint64{255, 255}, "00000000000000ff-00000000000000ff", 0},
		{"%ps %pS %pB", []uint64{255, 255, 255}, "0xff 0xff 0xff", 0},
		{"%pI4 %pi4", []uint64{ip, ip}, "10.0.1.255 010.000.001.255", 0},
		{"%pI6 %pi6", []uint64{ip + 4, ip + 4}, "2001:0db8:0000:0000:0000:0001:0000:0000 20010db8000000000000000100000000", 0},
		{"é %d", []uint64{1}, "é 1", 0},
		{"tab\tnl\n", nil, "tab\tnl\n", 0},
		{"bell\a", nil, "", abi.EINVAL},
		{"%d %d", []uint64{1}, "", abi.EINVAL},
		{"%", []uint64{1}, "", abi.EINVAL},
		{"%f", []uint64{1}, "", abi.EINVAL},
		{"%hd", []uint64{1}, "", abi.EINVAL},
		{"%o", []uint64{1}, "", abi.EINVAL},
		{"%.3d", []uint64{1}, "", abi.EINVAL},
		{"%*d", []uint64{1}, "", abi.EINVAL},
		{"%#x", []uint64{1}, "", abi.EINVAL},
		{"%sx", []uint64{str}, "", abi.EINVAL},
		{"%pz", []uint64{str}, "", abi.EINVAL},
		{"%lllx", []uint64{1}, "", abi.EINVAL},
		{"%\xc3", []uint64{1}, "", abi.EINVAL},
		{"%s", []uint64{long}, strings.Repeat("x", 511), 0},
		{"%s%d", []uint64{long, 1}, "", abi.ENOSPC},
		{"%s%s", []uint64{long, str}, "", abi.ENOSPC}, // '%' counts as punctuation
	} {
		t.Run(tc.format, func(t *testing.T) {
			got, err := Sprintf(r.env.Mem, []byte(tc.format), tc.args)
			if string(got) != tc.want || err != tc.err {
				t.Errorf("%q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	r := newRig(t)
	f := r.put(0, "%d and %u\x00")
	data := r.put(64, "\x05\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00")
	for _, tc := range []struct {
		name      string
		fmt, data uint64
		n         uint32
		want      string
		err       abi.Errno
	}{
		{"two", f, data, 16, "5 and 6", 0},
		{"too few", f, data, 8, "", abi.EINVAL},
		{"odd length", f, data, 12, "", abi.EINVAL},
		{"too many", f, data, 13 * 8, "", abi.EINVAL},
		{"null data", f, 0, 16, "", abi.EINVAL},
		{"bad data", f, bad, 16, "", abi.EFAULT},
		{"bad format", bad, data, 16, "", abi.EFAULT},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Format(r.env.Mem, tc.fmt, tc.data, tc.n)
			if got != tc.want || err != tc.err {
				t.Errorf("%q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
		})
	}
	if got := Clip(strings.Repeat("y", 2000)); len(got) != 1023 {
		t.Errorf("clipped to %d bytes", len(got))
	}
}

func TestPrint(t *testing.T) {
	r := newRig(t)
	f := r.put(0, "%d %s\n\x00")
	str := r.put(64, "str\x00")
	args := r.put(128, string(le64(9))+string(le64(str)))
	r.want(6, "", "trace_printk", f, 7, 1, str)
	r.want(6, "", "trace_vprintk", f, 7, args, 16)
	r.want(neg(abi.EINVAL), "", "trace_printk", f, 5, 1, str) // no end within the size
	r.want(neg(abi.EINVAL), "", "trace_vprintk", f, 7, args, 8)
	r.want(neg(abi.EINVAL), "", "trace_vprintk", f, 7, args, 15)
	r.want(0, "bpf_trace_vprintk: invalid read of 16 bytes at 0x1234", "trace_vprintk", f, 7, bad, 16)
	if got := strings.Join(r.host.lines, "|"); got != "1 str|9 str" {
		t.Errorf("lines %q", got)
	}
	dst := r.put(512, "----------")
	r.want(7, "", "snprintf", dst, 10, f, args, 16)
	if got := r.get(dst, 8); got != "9 str\n\x00-" {
		t.Errorf("formatted %q", got)
	}
	r.want(7, "", "snprintf", dst, 4, f, args, 16)
	if got := r.get(dst, 5); got != "9 s\x00r" {
		t.Errorf("cut %q", got)
	}
	r.want(7, "", "snprintf", 0, 0, f, args, 16)
	r.want(0, "bpf_snprintf: invalid write of 10 bytes at 0x1234", "snprintf", bad, 10, f, args, 16)
}

func le64(v uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b
}

// Whatever the format, the result is a text or an errno.
func FuzzSprintf(f *testing.F) {
	for _, s := range []string{"%d %s %pI6", "%-+0 10lld", "%pks %c", "%%%", "%p"} {
		f.Add([]byte(s), uint64(1), uint64(0xffffffff80001000))
	}
	f.Fuzz(func(t *testing.T, format []byte, a, b uint64) {
		r := newRig(t)
		out, err := Sprintf(r.env.Mem, format, []uint64{a, b, r.buf, a})
		if err != 0 && out != nil {
			t.Errorf("%q and %v", out, err)
		}
	})
}
