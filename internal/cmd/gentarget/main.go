package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/klauspost/compress/zstd"
)

// input names the files that describe one kernel.
type input struct {
	image  string // vmlinuz or vmlinux
	config string // .config
	// version is the name by which the kernel is called ("7.2"), release the exact one ("7.2.13"); "": as the image says.
	version, release string
}

// file is one file of the generated package.
type file struct {
	name string
	data []byte
}

func main() {
	var in input
	flag.StringVar(&in.image, "image", "", "kernel image (vmlinuz compressed with zstd, or vmlinux)")
	flag.StringVar(&in.config, "config", "", "kernel configuration (.config)")
	flag.StringVar(&in.version, "version", "", "version by which the kernel is called (default: of the release, for example 7.2)")
	flag.StringVar(&in.release, "release", "", "exact release (default: what the image says, for example 7.2.13)")
	out := flag.String("out", "", "directory of the package to write")
	flag.Parse()
	if err := run(in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gentarget:", err)
		os.Exit(1)
	}
}

func run(in input, out string) error {
	if in.image == "" || in.config == "" || out == "" {
		return fmt.Errorf("-image, -config and -out are needed")
	}
	files, err := generate(in)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(out, f.name), f.data, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d bytes\n", f.name, len(f.data))
	}
	return nil
}

// generate makes the files of the package from in.
func generate(in input) ([]file, error) {
	im, err := readImage(in.image)
	if err != nil {
		return nil, err
	}
	if in.release == "" {
		in.release = im.release
	}
	if in.version == "" {
		v := strings.SplitN(in.release, ".", 3)
		in.version = strings.Join(v[:min(2, len(v))], ".")
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(im.btf))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.image, err)
	}
	kfuncs, names, err := kfuncList(spec, im.ids)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.image, err)
	}
	r := schedExtRoots()
	maps.Copy(r.funcs, names)
	reduced, absent, err := reduce(spec, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.image, err)
	}
	config, err := os.ReadFile(in.config)
	if err != nil {
		return nil, err
	}
	kconfig, err := condenseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.config, err)
	}
	types, err := compress(reduced)
	if err != nil {
		return nil, err
	}
	conf, err := compress(kconfig)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(im.btf)
	code, err := goFile(in, hex.EncodeToString(sum[:]), len(im.btf), len(reduced), absent)
	if err != nil {
		return nil, err
	}
	return []file{
		{"btf.zst", types},
		{"kconfig.zst", conf},
		{"kfuncs.txt", kfuncs},
		{"target_gen.go", code},
	}, nil
}

// compress packs data as one zstd frame. The encoder runs alone so that its output does not depend on the machine.
func compress(data []byte) ([]byte, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return e.EncodeAll(data, nil), nil
}
