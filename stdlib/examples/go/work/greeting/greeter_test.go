package greeter

import "testing"

func TestItNamesWhomItGreets(t *testing.T) {
	if got := Greeting("you"); got != "Hello, you" {
		t.Fatalf("got %q", got)
	}
}
