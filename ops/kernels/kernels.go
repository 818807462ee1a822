package kernels

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/klauspost/compress/zstd"

	"github.com/schedsim/schedsim/ops/kernels/v6_16"
	"github.com/schedsim/schedsim/ops/kernels/v6_18"
	"github.com/schedsim/schedsim/ops/kernels/v7_2"
	"github.com/schedsim/schedsim/ops/kernels/v7_3"
)

// Kernel is one kernel as data. It decodes its parts when they are first asked for, and keeps them; a Kernel is for one
// goroutine, Get returns a new one each time.
type Kernel struct {
	// Version is the name by which the kernel is asked for ("7.2"), Release the exact release ("7.2.13").
	Version, Release string
	// Code is LINUX_VERSION_CODE.
	Code uint32

	rawBTF, rawKconfig, rawKfuncs string

	spec    *btf.Spec
	enums   map[string]uint64
	kconfig map[string]string
	kfuncs  []KfuncInfo
}

// all lists the kernels, newest first.
func all() []Kernel {
	return []Kernel{
		{Version: v7_3.Version, Release: v7_3.Release, Code: v7_3.Code, rawBTF: v7_3.BTF(), rawKconfig: v7_3.Kconfig(), rawKfuncs: v7_3.Kfuncs()},
		{Version: v7_2.Version, Release: v7_2.Release, Code: v7_2.Code, rawBTF: v7_2.BTF(), rawKconfig: v7_2.Kconfig(), rawKfuncs: v7_2.Kfuncs()},
		{Version: v6_18.Version, Release: v6_18.Release, Code: v6_18.Code, rawBTF: v6_18.BTF(), rawKconfig: v6_18.Kconfig(), rawKfuncs: v6_18.Kfuncs()},
		{Version: v6_16.Version, Release: v6_16.Release, Code: v6_16.Code, rawBTF: v6_16.BTF(), rawKconfig: v6_16.Kconfig(), rawKfuncs: v6_16.Kfuncs()},
	}
}

// Get returns the kernel with that version or exact release; an unknown one is an error that lists those known.
func Get(version string) (*Kernel, error) {
	ks := all()
	for i := range ks {
		if ks[i].Version == version || ks[i].Release == version {
			return &ks[i], nil
		}
	}
	return nil, fmt.Errorf("kernel %q: not known; there is %s", version, strings.Join(List(), ", "))
}

// List returns the versions of the known kernels, newest first.
func List() []string {
	var out []string
	for _, k := range all() {
		out = append(out, k.Version)
	}
	return out
}

// decompress unpacks a generated zstd frame.
func decompress(s string) []byte {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(fmt.Sprintf("BUG: zstd: %v", err))
	}
	defer d.Close()
	b, err := d.DecodeAll([]byte(s), nil)
	if err != nil {
		panic(fmt.Sprintf("BUG: embedded kernel data: %v", err))
	}
	return b
}

// BTF returns the kernel's types. The Spec decodes a type when it is asked for; it must not be changed.
func (k *Kernel) BTF() *btf.Spec {
	if k.spec == nil {
		raw := decompress(k.rawBTF)
		s, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		if err != nil {
			panic(fmt.Sprintf("BUG: embedded BTF: %v", err))
		}
		k.spec, k.enums = s, enumerators(raw)
	}
	return k.spec
}

// types calls f for each type in the order of ids.
func (k *Kernel) types(f func(t btf.Type)) {
	for t, err := range k.BTF().All() {
		if err != nil {
			panic(fmt.Sprintf("BUG: embedded BTF: %v", err))
		}
		f(t)
	}
}

// EnumValue returns the value of an enumerator of any enum ("SCX_DSQ_LOCAL"), sign-extended to 64 bits.
func (k *Kernel) EnumValue(name string) (uint64, bool) {
	k.BTF()
	v, ok := k.enums[name]
	return v, ok
}

// Kconfig returns the value of a configuration option as it is written in .config: "y", "m", "250", "0x10", or a
// string in double quotes. Options that are not set are not ok. LINUX_KERNEL_VERSION is the version code.
func (k *Kernel) Kconfig(name string) (string, bool) {
	if name == "LINUX_KERNEL_VERSION" {
		return strconv.FormatUint(uint64(k.Code), 10), true
	}
	if k.kconfig == nil {
		k.kconfig = map[string]string{}
		for l := range strings.Lines(string(decompress(k.rawKconfig))) {
			if n, v, ok := strings.Cut(strings.TrimSuffix(l, "\n"), "="); ok {
				k.kconfig[n] = v
			}
		}
	}
	v, ok := k.kconfig[name]
	return v, ok
}

// KconfigNames returns the options that are set, sorted.
func (k *Kernel) KconfigNames() []string {
	k.Kconfig("")
	var out []string
	for n := range k.kconfig {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
