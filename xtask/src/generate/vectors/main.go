// Writes vectors of what Kubernetes' own Go types make of imperfect objects, one JSON object a
// line. The golden objects given as folders are varied in three ways: values are taken away or
// emptied, unknown fields are added, and values get another JSON type.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"

	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// Variations of each golden object.
const rounds = 2

type vector struct {
	// Sparse, Unknown or Mistyped.
	Mode string          `json:"mode"`
	Name string          `json:"name"`
	In   json.RawMessage `json:"in"`
	// What strict decoding says.
	Error string `json:"error,omitempty"`
	// The decoded object as JSON and as protobuf, and the protobuf decoded again, as JSON.
	JSON         json.RawMessage `json:"json,omitempty"`
	Protobuf     []byte          `json:"protobuf,omitempty"`
	FromProtobuf json.RawMessage `json:"fromProtobuf,omitempty"`
}

func main() {
	if err := extensions.AddToScheme(scheme.Scheme); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, folder := range os.Args[1:] {
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil {
			panic(err)
		}
		for number, file := range files {
			for round := range rounds {
				random := rand.New(rand.NewSource(int64(number*1000 + round)))
				for _, mode := range []string{"Sparse", "Unknown", "Mistyped"} {
					if vector := vary(file, mode, random); vector != nil {
						if err := out.Encode(vector); err != nil {
							panic(err)
						}
					}
				}
			}
		}
	}
}

// Makes one vector; nil when the scheme does not know the kind or there is nothing to vary.
func vary(file, mode string, random *rand.Rand) *vector {
	data, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		panic(err)
	}
	switch mode {
	case "Sparse":
		thin(random, object, 0)
	case "Unknown":
		extend(random, object)
	case "Mistyped":
		mistype(random, object)
	}
	in, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	vector := &vector{Mode: mode, Name: name, In: in}
	strict := jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory,
		scheme.Scheme, scheme.Scheme, jsonserializer.SerializerOptions{Strict: true})
	decoded, _, err := strict.Decode(in, nil, nil)
	if err != nil {
		vector.Error = err.Error()
		if strings.Contains(vector.Error, "no kind") || strings.Contains(vector.Error, "Object 'Kind' is missing") {
			return nil
		}
		return vector
	}
	text := func(encode func(*bytes.Buffer) error) []byte {
		var buffer bytes.Buffer
		if err := encode(&buffer); err != nil {
			panic(err)
		}
		return buffer.Bytes()
	}
	binary := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	vector.JSON = text(func(b *bytes.Buffer) error { return strict.Encode(decoded, b) })
	vector.Protobuf = text(func(b *bytes.Buffer) error { return binary.Encode(decoded, b) })
	again, _, err := binary.Decode(vector.Protobuf, nil, nil)
	if err != nil {
		panic(fmt.Errorf("%s: %w", file, err))
	}
	vector.FromProtobuf = text(func(b *bytes.Buffer) error { return strict.Encode(again, b) })
	return vector
}

func sortedKeys(object map[string]any) []string {
	return slices.Sorted(maps.Keys(object))
}

// Takes fields away, empties them or makes them null.
func thin(random *rand.Rand, value any, depth int) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(value) {
			if depth == 0 && (key == "kind" || key == "apiVersion") {
				continue
			}
			switch choice := random.Intn(10); {
			case choice < 3:
				delete(value, key)
			case choice < 4:
				value[key] = empty(value[key])
			case choice < 5:
				value[key] = nil
			default:
				thin(random, value[key], depth+1)
			}
		}
	case []any:
		for _, item := range value {
			thin(random, item, depth+1)
		}
	}
}

func empty(value any) any {
	switch value.(type) {
	case map[string]any:
		return map[string]any{}
	case []any:
		return []any{}
	case string:
		return ""
	case json.Number:
		return 0
	case bool:
		return false
	}
	return nil
}

// Adds fields no type has.
func extend(random *rand.Rand, value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(value) {
			extend(random, value[key])
		}
		if random.Intn(8) == 0 {
			value["unheardOf"] = map[string]any{"inner": 1}
		}
	case []any:
		for _, item := range value {
			extend(random, item)
		}
	}
}

// Gives one leaf, or one object or list, another JSON type.
func mistype(random *rand.Rand, value any) {
	object, isObject := value.(map[string]any)
	list, isList := value.([]any)
	switch {
	case isObject && len(object) > 0:
		keys := sortedKeys(object)
		key := keys[random.Intn(len(keys))]
		if key == "kind" || key == "apiVersion" {
			return
		}
		if random.Intn(6) > 0 && nests(object[key]) {
			mistype(random, object[key])
			return
		}
		object[key] = other(random)
	case isList && len(list) > 0:
		position := random.Intn(len(list))
		if nests(list[position]) {
			mistype(random, list[position])
			return
		}
		list[position] = other(random)
	}
}

func nests(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func other(random *rand.Rand) any {
	return []any{"text", 7, 1.5, true, []any{}, map[string]any{}, json.Number("99999999999")}[random.Intn(7)]
}
