import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import com.alibaba.fastjson2.JSONWriter;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * One JVM that holds official RocketMQ clients and does what a test asks, so that a test pays for
 * starting Java once. A request is one line of JSON on stdin: {"id":1,"do":"producer.send",…}. Its
 * answer is one line on stdout that begins with "@": {"id":1,"result":…} or {"id":1,"error":{…}}.
 * Lines without "@" are the clients' own chatter. The JVM ends when stdin does.
 */
public final class Peer {
    interface Call {
        Object run(JSONObject request) throws Throwable;
    }

    static final Map<String, Call> CALLS = new ConcurrentHashMap<>();
    static final PrintStream ANSWERS = System.out;

    public static void main(String[] args) throws Exception {
        Producing.register(CALLS);
        Replying.register(CALLS);
        Consuming.register(CALLS);
        Pulling.register(CALLS);
        Filtering.register(CALLS);
        Admin.register(CALLS);
        Mqadmin.register(CALLS);
        ExecutorService workers = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        answer(new JSONObject().fluentPut("id", 0).fluentPut("result", "ready"));
        BufferedReader in =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JSONObject request = JSON.parseObject(line);
            workers.execute(() -> handle(request));
        }
        System.exit(0);
    }

    private static void handle(JSONObject request) {
        JSONObject reply = new JSONObject().fluentPut("id", request.get("id"));
        try {
            Call call = CALLS.get(request.getString("do"));
            if (call == null) throw new IllegalArgumentException("no call " + request.get("do"));
            reply.put("result", call.run(request));
        } catch (Throwable error) {
            reply.put("error", describe(error));
        }
        answer(reply);
    }

    /** The class, the text and the broker's response code (null when it never answered). */
    static JSONObject describe(Throwable error) {
        Integer code = null;
        String remark = null;
        for (Throwable t = error; t != null && code == null; t = t.getCause()) {
            if (t instanceof MQBrokerException) {
                code = ((MQBrokerException) t).getResponseCode();
                remark = ((MQBrokerException) t).getErrorMessage();
            } else if (t instanceof MQClientException && ((MQClientException) t).getResponseCode() > 0) {
                code = ((MQClientException) t).getResponseCode();
                remark = ((MQClientException) t).getErrorMessage();
            }
        }
        StringBuilder text = new StringBuilder();
        for (Throwable t = error; t != null; t = t.getCause()) text.append(t).append('\n');
        return new JSONObject()
            .fluentPut("class", error.getClass().getSimpleName())
            .fluentPut("message", text.toString())
            .fluentPut("code", code)
            .fluentPut("remark", remark);
    }

    private static void answer(JSONObject reply) {
        String line = "@" + JSON.toJSONString(reply, JSONWriter.Feature.WriteMapNullValue,
            JSONWriter.Feature.BrowserCompatible);
        synchronized (ANSWERS) {
            ANSWERS.println(line);
            ANSWERS.flush();
        }
    }

    /** A received message, all that a test may want to compare. */
    static JSONObject describe(MessageExt message) {
        JSONObject out = new JSONObject();
        out.put("topic", message.getTopic());
        out.put("broker", message.getBrokerName());
        out.put("queueId", message.getQueueId());
        out.put("queueOffset", message.getQueueOffset());
        out.put("physicalOffset", message.getCommitLogOffset());
        out.put("storeSize", message.getStoreSize());
        out.put("bodyCrc", message.getBodyCRC());
        out.put("messageId", message.getMsgId());
        out.put("offsetMessageId", message instanceof MessageClientExt
            ? ((MessageClientExt) message).getOffsetMsgId() : message.getMsgId());
        out.put("keys", message.getKeys());
        out.put("tags", message.getTags());
        out.put("flag", message.getFlag());
        out.put("sysFlag", message.getSysFlag());
        out.put("reconsumeTimes", message.getReconsumeTimes());
        out.put("bornAt", message.getBornTimestamp());
        out.put("storedAt", message.getStoreTimestamp());
        out.put("bornHost", message.getBornHostString());
        out.put("storeHost", String.valueOf(message.getStoreHost()));
        out.put("properties", new TreeMap<>(message.getProperties()));
        out.put("body", Base64.getEncoder().encodeToString(
            message.getBody() == null ? new byte[0] : message.getBody()));
        return out;
    }

    static JSONObject describe(MessageQueue queue) {
        return new JSONObject()
            .fluentPut("topic", queue.getTopic())
            .fluentPut("broker", queue.getBrokerName())
            .fluentPut("queueId", queue.getQueueId());
    }

    static MessageQueue queueOf(JSONObject request) {
        return new MessageQueue(request.getString("topic"), request.getString("broker"),
            request.getIntValue("queueId"));
    }

    static byte[] bodyOf(JSONObject message) {
        String base64 = message.getString("base64");
        if (base64 != null) return Base64.getDecoder().decode(base64);
        return message.getString("body").getBytes(StandardCharsets.UTF_8);
    }

    static JSONArray array(Iterable<JSONObject> items) {
        JSONArray out = new JSONArray();
        for (JSONObject item : items) out.add(item);
        return out;
    }

    private Peer() {
    }
}
