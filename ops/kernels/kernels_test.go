package kernels

import "testing"

func kernel(t testing.TB) *Kernel {
	k, err := Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	return k
}
