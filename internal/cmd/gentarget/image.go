package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/klauspost/compress/zstd"
)

// image is what a kernel image says of its types.
type image struct {
	btf []byte // section .BTF
	ids []byte // section .BTF_ids: the lists and sets of type ids that the code uses
	// release is the version in the banner, "7.2.13".
	release string
}

// banner matches the text that a kernel prints first.
var banner = regexp.MustCompile(`Linux version ([0-9]+(?:\.[0-9]+)+)`)

// zstdMagic begins a zstd frame.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// maxVmlinux bounds an unpacked kernel.
const maxVmlinux = 1 << 30

// readImage reads a vmlinuz, compressed with zstd, or a vmlinux.
func readImage(path string) (*image, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		if data = unpack(data); data == nil {
			return nil, fmt.Errorf("%s: no kernel in it that is compressed with zstd", path)
		}
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	im := &image{}
	for _, s := range []struct {
		name string
		to   *[]byte
	}{{".BTF", &im.btf}, {".BTF_ids", &im.ids}} {
		sec := f.Section(s.name)
		if sec == nil {
			return nil, fmt.Errorf("%s: no section %s", path, s.name)
		}
		if *s.to, err = sec.Data(); err != nil {
			return nil, fmt.Errorf("%s: section %s: %w", path, s.name, err)
		}
	}
	if m := banner.FindSubmatch(data); m != nil {
		im.release = string(m[1])
	}
	return im, nil
}

// unpack finds the compressed vmlinux in a boot image; nil if there is none.
func unpack(data []byte) []byte {
	for at := 0; ; at++ {
		n := bytes.Index(data[at:], zstdMagic)
		if n < 0 {
			return nil
		}
		at += n
		d, err := zstd.NewReader(bytes.NewReader(data[at:]), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxVmlinux))
		if err != nil {
			return nil
		}
		// What follows the frame in the image is no frame: the error at its end says nothing.
		out, _ := io.ReadAll(io.LimitReader(d, maxVmlinux))
		d.Close()
		if bytes.HasPrefix(out, []byte(elf.ELFMAG)) {
			return out
		}
	}
}

// entry is a function in a set, with its KF_ flags.
type entry struct{ id, flags uint32 }

// set8Kfuncs is BTF_SET8_KFUNCS: a set of kernel functions.
const set8Kfuncs = 1

// kfuncSets finds the sets of kernel functions in .BTF_ids. The section is a sequence of lists whose borders are known to
// the code alone; a set of kernel functions tells itself by its mark, its length and its ids, which ascend and all belong
// to kernel functions.
func kfuncSets(ids []byte, isKfunc func(id uint32) bool) [][]entry {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(ids[4*i:]) }
	total := len(ids) / 4
	var sets [][]entry
scan:
	for i := 0; i+2 <= total; i++ {
		n := int(word(i))
		if n == 0 || n > (total-i-2)/2 || word(i+1) != set8Kfuncs {
			continue
		}
		set := make([]entry, n)
		for k := range set {
			set[k] = entry{word(i + 2 + 2*k), word(i + 3 + 2*k)}
			if !isKfunc(set[k].id) || k > 0 && set[k].id <= set[k-1].id {
				continue scan
			}
		}
		sets = append(sets, set)
		i += 1 + 2*n
	}
	return sets
}
