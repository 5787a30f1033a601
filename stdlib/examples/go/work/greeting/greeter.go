// Package greeter greets.
package greeter

// Greeting is what to say to somebody.
func Greeting(name string) string {
	return "Hello, " + name
}
