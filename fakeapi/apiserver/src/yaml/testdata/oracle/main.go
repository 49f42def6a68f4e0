package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
	kjson "sigs.k8s.io/json"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	for in.Scan() {
		var doc string
		if err := json.Unmarshal(in.Bytes(), &doc); err != nil {
			panic(err)
		}
		out := map[string]interface{}{"yaml": doc}
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			out["error"] = err.Error()
		} else {
			var v interface{}
			if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &v); err != nil {
				panic(err)
			}
			out["value"] = v
		}
		if _, err := yaml.YAMLToJSONStrict([]byte(doc)); err != nil {
			out["strict"] = err.Error()
		}
		b, _ := json.Marshal(out)
		fmt.Println(string(b))
	}
}
