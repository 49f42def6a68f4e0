package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/api/resource"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var pair []string
		if err := json.Unmarshal(in.Bytes(), &pair); err != nil {
			panic(err)
		}
		a, err := resource.ParseQuantity(pair[0])
		if err != nil {
			b, _ := json.Marshal([]interface{}{pair[0], "", err.Error()})
			fmt.Println(string(b))
			continue
		}
		other, err := resource.ParseQuantity(pair[1])
		if err != nil {
			panic(err)
		}
		text := a.String()
		cmp := a.Cmp(other)
		value, milli := a.Value(), a.MilliValue()
		a.Add(other)
		b, _ := json.Marshal([]interface{}{pair[0], text, "", pair[1], cmp, a.String(), value, milli})
		fmt.Println(string(b))
	}
}
