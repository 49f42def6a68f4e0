package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/api/validate/content"
)

type row struct {
	What, Text string
	Doc, Patch json.RawMessage `json:",omitempty"`
	Result     string          `json:",omitempty"`
	Error      string          `json:",omitempty"`
}

func run(r *row) {
	defer func() {
		if e := recover(); e != nil {
			r.Error = fmt.Sprint("PANIC ", e)
		}
	}()
	switch r.What {
	case "label":
		s, err := labels.Parse(r.Text)
		if err != nil {
			r.Error = err.Error()
		} else {
			r.Result = s.String()
		}
	case "field":
		s, err := fields.ParseSelector(r.Text)
		if err != nil {
			r.Error = err.Error()
		} else {
			r.Result = s.String()
		}
	case "key":
		b, _ := json.Marshal([][]string{content.IsLabelKey(r.Text), content.IsLabelValue(r.Text), content.IsDNS1123Label(r.Text), content.IsDNS1123Subdomain(r.Text)})
		r.Result = string(b)
	case "patch":
		p, err := jsonpatch.DecodePatch(r.Patch)
		if err != nil {
			r.Error = err.Error()
			return
		}
		out, err := p.Apply(r.Doc)
		if err != nil {
			r.Error = err.Error()
		} else {
			r.Result = string(out)
		}
	}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	for in.Scan() {
		var r row
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			panic(err)
		}
		run(&r)
		b, _ := json.Marshal(r)
		fmt.Println(string(b))
	}
}
