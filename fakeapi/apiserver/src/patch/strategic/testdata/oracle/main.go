package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"
)

func run(kind string, original, patch json.RawMessage) (out map[string]interface{}, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("PANIC %v", r)
		}
	}()
	var o, p map[string]interface{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(original, &o); err != nil {
		return nil, err
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(patch, &p); err != nil {
		return nil, err
	}
	var t interface{}
	switch kind {
	case "Pod":
		t = &corev1.Pod{}
	case "Node":
		t = &corev1.Node{}
	case "Deployment":
		t = &appsv1.Deployment{}
	}
	return strategicpatch.StrategicMergeMapPatch(o, p, t)
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	for in.Scan() {
		var c struct {
			Kind            string
			Original, Patch json.RawMessage
		}
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			panic(err)
		}
		res := map[string]interface{}{"kind": c.Kind, "original": c.Original, "patch": c.Patch}
		out, err := run(c.Kind, c.Original, c.Patch)
		if err != nil {
			res["error"] = err.Error()
		} else {
			res["result"] = out
		}
		b, _ := json.Marshal(res)
		fmt.Println(string(b))
	}
}
