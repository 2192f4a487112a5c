import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.broker.filter.MessageEvaluationContext;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.expression.MQFilterException;

/** filter.outcomes: what Apache's own SQL92 filter, without a broker around it, says of messages. */
final class Filtering {
    static void register(Map<String, Peer.Call> calls) {
        calls.put("filter.outcomes", Filtering::outcomes);
    }

    /** For each of {expressions}: "refused", or a list with true, false, unknown or failed for each of {messages}. */
    private static Object outcomes(JSONObject request) throws Exception {
        JSONArray all = new JSONArray();
        JSONArray messages = request.getJSONArray("messages");
        for (Object text : request.getJSONArray("expressions")) {
            Expression expression;
            try {
                expression = FilterFactory.INSTANCE.get("SQL92").compile((String) text);
            } catch (MQFilterException error) {
                all.add("refused");
                continue;
            }
            JSONArray outcomes = new JSONArray();
            for (int i = 0; i < messages.size(); i++) {
                Map<String, String> properties = new HashMap<>();
                messages.getJSONObject(i).forEach((name, value) -> properties.put(name, (String) value));
                outcomes.add(outcomeOf(expression, properties));
            }
            all.add(outcomes);
        }
        return all;
    }

    private static String outcomeOf(Expression expression, Map<String, String> properties) {
        try {
            Object value = expression.evaluate(new MessageEvaluationContext(properties));
            return value == null ? "unknown" : String.valueOf(value);
        } catch (Throwable error) {
            return "failed";
        }
    }

    private Filtering() {
    }
}
